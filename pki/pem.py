"""Keys as text: PEM around the raw key bytes, labelled with the scheme's name (Katzenpost PKI, 'PEM').

There is no ASN.1 inside, so the label is all that tells one scheme's key from another's of the same length.
"""

import base64
import re
from dataclasses import dataclass, field
from typing import Final, Literal

from pki.errors import PemError

PemKind = Literal["PUBLIC", "PRIVATE"]

LONGEST_TEXT: Final = 16 * 1024 * 1024
"""Characters read at most; the largest key of the reference (mceliece8192128) is 1.4 MB in raw bytes."""

_COLUMNS: Final = 64
_BLOCK: Final = re.compile(
    r"^-----BEGIN (?P<label>[^\r\n]*?)-----[ \t]*\r?\n(?P<body>[^-]*?)^-----END (?P<end>[^\r\n]*?)-----[ \t]*\r?$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class PemBlock:
    """A PEM block as it stands in a text.

    Attributes:
        label: of its first line.
        end_label: of its last line.
        body: what is between them; base64, if it is undamaged.
        end: where the text goes on after it.
    """

    label: str
    end_label: str
    body: str = field(repr=False)
    end: int

    def raw(self) -> bytes:
        """The bytes that the block holds.

        Raises:
            ValueError: if its base64 is damaged.
        """
        return base64.b64decode("".join(self.body.split()), validate=True)


def find_block(text: str) -> PemBlock | None:
    """Return the first PEM block of `text`, or None; its lines may have any length and any ends."""
    found = _BLOCK.search(text)
    return None if found is None else PemBlock(found["label"], found["end"], found["body"], found.end())


def encode_block(label: str, raw: bytes) -> str:
    """Return the PEM block that holds `raw`, with a final newline."""
    text = base64.b64encode(raw).decode("ascii")
    lines = (text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS))
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


def encode_pem(scheme_name: str, kind: PemKind, raw: bytes) -> str:
    """The PEM text of a key, with a final newline.

    Args:
        scheme_name: of the KEM, NIKE or signature scheme, in any case.
        kind: which half of the key pair `raw` is.
        raw: the scheme's own encoding of the key.

    Raises:
        PemError: if the key is empty or all zero, which is no key.
    """
    if not any(raw):
        raise PemError(f"refusing to write an all-zero {scheme_name} {kind.lower()} key of {len(raw)} bytes")
    return encode_block(_label(scheme_name, kind), raw)


def decode_pem(text: str, scheme_name: str, kind: PemKind, length: int | None = None) -> bytes:
    """The raw key in the first PEM block of `text`.

    As the reference's reader does, this one skips text around the block and takes any line ends, line lengths and
    case of the label.

    Args:
        text: the PEM text.
        scheme_name: the scheme that the label must name, in any case.
        kind: the half of the key pair that the label must name.
        length: how many bytes the key must have; None where that depends on the key.

    Raises:
        PemError: if there is no block, its label is another, its base64 is damaged, or the key's length is wrong.
    """
    expected = _label(scheme_name, kind)
    if len(text) > LONGEST_TEXT:
        raise PemError(f"a PEM text of {len(text)} characters; at most {LONGEST_TEXT} are read")
    block = find_block(text)
    if block is None:
        raise PemError(f"no PEM block found; expected one that begins with -----BEGIN {expected}-----")
    if block.label != block.end_label:
        raise PemError(f"the PEM block's BEGIN and END lines differ; expected both to say {expected}")
    if block.label.upper() != expected:
        raise PemError(f"the PEM block is labelled {block.label[:_COLUMNS]!r}; expected {expected!r}")
    try:
        raw = block.raw()
    except ValueError:
        raise PemError(f"the PEM block {expected!r} holds damaged base64") from None
    if length is not None and len(raw) != length:
        raise PemError(f"the PEM block {expected!r} holds {len(raw)} bytes; expected {length}")
    if not raw:
        raise PemError(f"the PEM block {expected!r} is empty")
    return raw


def _label(scheme_name: str, kind: PemKind) -> str:
    return f"{scheme_name.upper()} {kind} KEY"
