"""Copy streams: envelopes that a courier replays all together, written as the boxes of a temporary stream.

The envelopes, each behind its length, are one stream of bytes. It is cut into chunks without regard to where an
envelope ends, and each chunk is one element, which fills a box.

The encoder's whole state is the bytes that are not cut off yet: `buffer`. An application that carries it from one
request to the next gets the same elements as from a single request.

Source: Katzenpost Pigeonhole, 'copy streams'.
"""

from collections.abc import Iterator
from typing import Final

from kpclientd.pigeonhole.courier_messages import FLAG_FINAL, FLAG_START, CopyStreamElement, CourierEnvelope
from kpclientd.pigeonhole.errors import InvalidArgument, MessageError
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.trunnel import LENGTH_PREFIX, Reader, prefixed

ELEMENT_OVERHEAD: Final = 1 + LENGTH_PREFIX
"""Bytes of an element that are no chunk: the flags and the chunk's length."""

LONGEST_PAYLOAD: Final = 10 * 1024 * 1024
"""Bytes for one destination in one request."""


def pieces(payload: bytes, geometry: PigeonholeGeometry) -> Iterator[bytes]:
    """Cut a payload into what the envelopes of a copy stream write, one box each; nothing of it gives none.

    They are four bytes shorter than a box's plaintext may be, as the reference's are.

    Raises:
        InvalidArgument: if the payload is too long, or the network's boxes are too small for any.
    """
    length = geometry.max_plaintext_payload_length - LENGTH_PREFIX
    if length <= 0:
        raise InvalidArgument("the network's boxes are too small for copy streams")
    if len(payload) > LONGEST_PAYLOAD:
        raise InvalidArgument(f"a payload has {len(payload)} bytes; at most {LONGEST_PAYLOAD} are copied at once")
    return (payload[at : at + length] for at in range(0, len(payload), length))


class StreamEncoder:
    """Cuts envelopes into elements.

    Args:
        geometry: the network's lengths.
        buffer: what an encoder before this had left over.
        is_start: whether the first element begins the stream.

    Raises:
        InvalidArgument: if the network's boxes are too small for any chunk.
    """

    __slots__ = ("_buffer", "_chunk_length", "_is_start")

    def __init__(self, geometry: PigeonholeGeometry, buffer: bytes = b"", *, is_start: bool = True) -> None:
        self._chunk_length = geometry.max_plaintext_payload_length - ELEMENT_OVERHEAD
        if self._chunk_length <= 0:
            raise InvalidArgument("the network's boxes are too small for copy streams")
        self._buffer = bytearray(buffer)
        self._is_start = is_start

    @property
    def buffer(self) -> bytes:
        """What is not in any element yet; after `add` never more than one chunk."""
        return bytes(self._buffer)

    def add(self, envelope: CourierEnvelope) -> list[bytes]:
        """Append an envelope; returns the elements that are full, each the plaintext of a box.

        A chunk that is just full stays, since it may be the last.

        Raises:
            MessageError: if a part of the envelope does not fit its field.
        """
        self._buffer += prefixed(envelope.encode(), "an envelope")
        return self._full()

    def flush(self, *, is_final: bool) -> list[bytes]:
        """Return the elements of all that is left, the last one flagged if it is the stream's end.

        Where nothing is left there is no element, and so no flag either.
        """
        elements = self._full()
        if self._buffer:
            elements.append(self._element(FLAG_FINAL if is_final else 0))
        return elements

    def _full(self) -> list[bytes]:
        elements = []
        while len(self._buffer) > self._chunk_length:
            elements.append(self._element(0))
        return elements

    def _element(self, flags: int) -> bytes:
        chunk = bytes(self._buffer[: self._chunk_length])
        del self._buffer[: self._chunk_length]
        if self._is_start:
            flags |= FLAG_START
            self._is_start = False
        return CopyStreamElement(flags, chunk).encode()


class StreamDecoder:
    """Puts the envelopes of a copy stream together again, as a courier does.

    Args:
        geometry: the network's lengths.

    Attributes:
        is_final: whether the last element has been seen.
    """

    __slots__ = ("_boxes", "_envelopes", "_longest_element", "_longest_envelope", "is_final")

    def __init__(self, geometry: PigeonholeGeometry) -> None:
        self._longest_element = geometry.max_plaintext_payload_length
        self._longest_envelope = geometry.courier_query_write_length
        self._boxes = bytearray()
        self._envelopes = bytearray()
        self.is_final = False

    def feed(self, plaintext: bytes) -> list[CourierEnvelope]:
        """Take the plaintext of the next box; returns the envelopes that are whole.

        Raises:
            MessageError: if an element is longer than a box, or an envelope is none.
        """
        self._boxes += plaintext
        while len(self._boxes) >= ELEMENT_OVERHEAD and not self.is_final:
            end = ELEMENT_OVERHEAD + int.from_bytes(self._boxes[1:ELEMENT_OVERHEAD], "big")
            if end > self._longest_element:
                raise MessageError(f"an element of a copy stream has {end} bytes; a box takes {self._longest_element}")
            if len(self._boxes) < end:
                break
            element = CopyStreamElement.parse(bytes(self._boxes[:end]))
            del self._boxes[:end]
            self._envelopes += element.chunk
            self.is_final = bool(element.flags & FLAG_FINAL)
        return list(self._whole_envelopes())

    def _whole_envelopes(self) -> Iterator[CourierEnvelope]:
        while len(self._envelopes) >= LENGTH_PREFIX:
            length = int.from_bytes(self._envelopes[:LENGTH_PREFIX], "big")
            if length > self._longest_envelope:
                raise MessageError(
                    f"an envelope in a copy stream has {length} bytes; at most {self._longest_envelope} are read"
                )
            if len(self._envelopes) < LENGTH_PREFIX + length:
                return
            reader = Reader(bytes(self._envelopes[LENGTH_PREFIX : LENGTH_PREFIX + length]), "envelope in a copy stream")
            envelope = CourierEnvelope.read(reader)
            if reader.left:
                raise MessageError(f"{reader.left} bytes follow an envelope in a copy stream")
            del self._envelopes[: LENGTH_PREFIX + length]
            yield envelope
