"""The JSON form of protobuf messages, as strict as Go's reader of 2019 and as lenient.

The library that does it takes base64 of either alphabet, with or without padding, and leaves out empty lists; Go does
not. Source: the Nym 2019 Loopix client, "JSON form".
"""

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from kpclientd.loopix.errors import LoopixError

if TYPE_CHECKING:
    from google._upb._message import Descriptor as CompiledDescriptor
    from google.protobuf.descriptor import Descriptor

    AnyDescriptor = Descriptor | CompiledDescriptor

Kind = TypeVar("Kind", bound=Message)

_WHITE_SPACE: Final = " \t\r\n"


def from_json(kind: type[Kind], text: str, fault: type[LoopixError]) -> Kind:
    """Return the message of `kind` that the first JSON value of `text` describes; what follows it is ignored.

    A member of the oneof selects itself even if it is null; other fields that are null are absent.

    Raises:
        LoopixError: of the class `fault`, if there is no JSON object, or it does not describe such a message.
    """
    name = kind.DESCRIPTOR.name
    try:
        value, _ = _DECODER.raw_decode(text.lstrip(_WHITE_SPACE))
        if value is None:
            return kind()
        if not isinstance(value, dict):
            raise fault(f"a {name} is a JSON {type(value).__name__}, expected an object")
        members = {field.name for oneof in kind.DESCRIPTOR.oneofs for field in oneof.fields}
        value = {key: {} if inner is None and key in members else inner for key, inner in value.items()}
        _check_forms(kind.DESCRIPTOR, value)
        return ParseDict(value, kind())
    except (ParseError, ValueError, TypeError, RecursionError):
        raise fault(f"a text of {len(text)} characters is not the JSON form of a {name}") from None


def to_json(message: Message) -> str:
    """Return the JSON form of `message`: absent and zero fields are left out, empty lists are not."""
    return json.dumps(_with_lists(message))


def _with_lists(message: Message) -> dict[str, object]:
    fields: dict[str, object] = MessageToDict(message)
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            fields.setdefault(field.json_name, [])
        elif field.message_type is not None and message.HasField(field.name):
            fields[field.json_name] = _with_lists(getattr(message, field.name))
    return fields


def _check_forms(kind: "AnyDescriptor", fields: Mapping[str, object]) -> None:
    """Refuse what the library would let pass: other base64 than padded standard, and lists for messages."""
    for field in kind.fields:
        for name in {field.name, field.json_name}:
            value = fields.get(name)
            values = value if field.is_repeated and isinstance(value, list) else [] if value is None else [value]
            for one in values:
                if field.type == FieldDescriptor.TYPE_BYTES:
                    _check_octets(one)
                elif field.message_type is not None:
                    if not isinstance(one, dict):
                        raise ValueError(name)
                    _check_forms(field.message_type, one)


def _check_octets(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError
    base64.b64decode(value, validate=True)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
