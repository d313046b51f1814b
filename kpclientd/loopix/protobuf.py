"""Reading protobuf from strangers: one error whatever is wrong, and no field of a wrong type passed over.

Source: the Nym 2019 Loopix client, "protobuf messages".
"""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from kpclientd.loopix.errors import LoopixError

Kind = TypeVar("Kind", bound=Message)


def decode(kind: type[Kind], data: bytes, fault: type[LoopixError]) -> Kind:
    """Return the message of `kind` that `data` holds; fields of unknown numbers are skipped.

    Raises:
        LoopixError: of the class `fault`, if the bytes are not well-formed or a known field has another wire type.
    """
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise fault(f"{len(data)} bytes are not a protobuf {kind.DESCRIPTOR.name}") from None
    length = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != length:
        # What is known by number and not by type is kept as unknown; looking for it is slow, and seldom needed.
        _check_types(kind.FromString(data), fault)
    return message


def _check_types(message: Message, fault: type[LoopixError]) -> None:
    unknown = UnknownFieldSet(message)
    for place in range(len(unknown)):
        number = unknown[place].field_number
        if number in message.DESCRIPTOR.fields_by_number:
            name = message.DESCRIPTOR.name
            raise fault(f"field {number} of a {name} has the wrong wire type, {unknown[place].wire_type}")
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                _check_types(inner, fault)
