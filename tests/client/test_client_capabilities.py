"""A capability's text is one word, read back strictly; the secret itself is shown nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.client import CapabilityTextError, ReadCapability, WriteCapability

READS = st.binary(min_size=136, max_size=136).map(ReadCapability)
WRITES = st.binary(min_size=168, max_size=168).map(WriteCapability)


@given(READS | WRITES)
def test_a_text_is_one_word_and_read_back(capability: ReadCapability | WriteCapability) -> None:
    text = capability.text()
    assert type(capability).parse(f" {text}\n") == capability
    assert text.split() == [text]
    assert text.startswith(f"{capability.WORD}-")
    assert text not in repr(capability)
    assert capability.secret.hex() not in repr(capability)
    assert repr(capability.secret)[2:10] not in repr(capability)


@given(READS, st.data())
def test_a_damaged_text_is_refused(capability: ReadCapability, data: st.DataObject) -> None:
    text = capability.text()
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("Aa0-_~=. é"))
    for damaged in (text[:at] + letter + text[at + 1 :], text[:at], text[:at] + text[at + 1 :], text + letter.strip()):
        if damaged.strip() != text:
            with pytest.raises(CapabilityTextError):
                ReadCapability.parse(damaged)


@given(st.text(max_size=40))
def test_any_text_is_a_capability_or_refused(text: str) -> None:
    for kind in (ReadCapability, WriteCapability):
        with pytest.raises(CapabilityTextError):
            kind.parse(text)


def test_one_of_the_other_kind_is_told_from_a_damaged_one() -> None:
    write = WriteCapability(bytes(168))
    with pytest.raises(CapabilityTextError, match="begins with write-, where one to read is needed"):
        ReadCapability.parse(write.text())
    with pytest.raises(CapabilityTextError, match="damaged"):
        ReadCapability.parse(write.reader.text()[:-1])
    with pytest.raises(CapabilityTextError, match="136 bytes"):
        ReadCapability(bytes(135))


def test_what_reads_begins_where_what_writes_does() -> None:
    write = WriteCapability(bytes(range(168)))
    assert write.reader.secret == write.secret[32:]
    assert write.reader.index == write.index
    assert write.number == int.from_bytes(write.index[:8], "little")
    assert write.at(bytes(104)).number == 0
