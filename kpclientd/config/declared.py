"""How the tables of a configuration file are declared: once, for whoever reads, checks, writes or describes them.

A table is a `Table`, a struct of msgspec's, and its fields are the keys that the file may have. Types, defaults and
ranges are msgspec's, which makes the values and refuses others; all else that is to be said of a key stands in the
`Key` beside its type:

    connections: Annotated[int, Meta(ge=1), Key("applications connected at once", ours=True)] = 512
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, UnionType
from typing import Annotated, Any, ClassVar, Final, get_args, get_origin

import msgspec

_ACRONYMS: Final = frozenset({"arq", "kem", "nike", "pki", "sprp", "surb"})


def key_of(name: str) -> str:
    """The file's key for a field: `wire_kem_scheme` is `WireKEMScheme`."""
    return "".join(part.upper() if part in _ACRONYMS else part.capitalize() for part in name.split("_"))


@dataclass(frozen=True, slots=True)
class Key:
    """What is to be said of a key, or of a whole table, beside its type.

    Attributes:
        meaning: one sentence or more, without a full stop at the end.
        example: a value that could stand there, where the default does not show what one looks like.
        unit: of a number, in words.
        default: in words, where the field's default does not tell it.
        ours: whether the reference does not have it.
        reloadable: whether SIGHUP is enough for a new value.
        required: whether there must be one.
        secret: whether its value is shown to nobody.
        zero_is_default: whether 0, or nothing between the quotes, means the default.
        refusal: why a key that the file might have is refused; the text, and how to mend it.
    """

    meaning: str
    example: object = None
    unit: str = ""
    default: str = ""
    ours: bool = False
    reloadable: bool = False
    required: bool = False
    secret: bool = False
    zero_is_default: bool = False
    refusal: tuple[str, str] | None = None


class Table(msgspec.Struct, frozen=True, rename=key_of):
    """One table of a file, every key with its value or its default.

    Attributes:
        moved: keys that other files, or older ones, have here, and what to do instead.
    """

    moved: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __repr__(self) -> str:
        """The name alone: values may be secret."""
        return f"<{type(self).__name__}>"


@dataclass(frozen=True, slots=True)
class Declared:
    """A key as it is declared.

    Attributes:
        name: the field.
        key: in the file.
        kinds: the types of TOML that its value may have, by Python's types.
        table: what is in the table, or in each table of the array; None where the value is neither.
        default: the field's default.
        least: smallest integer allowed, None where there is no such bound.
        about: what is said of it.
    """

    name: str
    key: str
    kinds: tuple[type, ...]
    table: type[Table] | None
    default: Any
    least: int | float | None
    about: Key

    @property
    def is_array(self) -> bool:
        """Whether the value is an array."""
        return self.kinds == (tuple,)


@cache
def declared_keys(table: type[Table]) -> tuple[Declared, ...]:
    """All keys of a table, in the order in which they are declared."""
    return tuple(_declared(field) for field in msgspec.structs.fields(table))


def _declared(field: msgspec.structs.FieldInfo) -> Declared:
    said = get_args(field.type)[1:] if get_origin(field.type) is Annotated else ()
    bare = get_args(field.type)[0] if said else field.type
    union = [kind for kind in get_args(bare) if kind is not type(None)] if isinstance(bare, UnionType) else [bare]
    table = next((inner for kind in union for inner in (kind, *get_args(kind)) if _is_table(inner)), None)
    return Declared(
        name=field.name,
        key=field.encode_name,
        kinds=tuple(get_origin(kind) or (dict if _is_table(kind) else kind) for kind in union),
        table=table,
        default=field.default,
        least=next((meta.ge for meta in said if isinstance(meta, msgspec.Meta)), None),
        about=next(about for about in said if isinstance(about, Key)),
    )


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)
