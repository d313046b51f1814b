import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from sphinx.crypto.blake2xb import blake2xb, blake2xb_reader
from sphinx.errors import KeyLengthError
from tests.support.vectors import recorded, upstream


def test_the_known_answer_of_the_curve_adapter_holds() -> None:
    output = blake2xb(bytes(64), key=bytes(range(32)), length=32)
    assert output.hex() == "8534085a31f9cefccbf252c96a33a347ffc759e6cb6379413e6052aafd28861e"


@pytest.mark.parametrize("vectors", [recorded, upstream])
def test_every_known_answer_of_the_blake2_authors_holds(vectors: Callable[[str], Any]) -> None:
    found = vectors("blake2xb.json")
    for vector in found["cases"] if isinstance(found, dict) else found:
        output = blake2xb(bytes.fromhex(vector["in"]), key=bytes.fromhex(vector["key"]), length=len(vector["out"]) // 2)
        assert output.hex() == vector["out"]


def test_outputs_of_all_lengths_are_those_that_the_known_answers_confirmed() -> None:
    # Pinned where every known answer of the BLAKE2 authors held: a last block that is not whole is easy to get wrong.
    outputs = b"".join(blake2xb(b"message", key=b"key", length=length) for length in range(1, 201))
    assert hashlib.sha256(outputs).hexdigest() == "03176121d48f23accf337e29fb92048b243642579b02d2b692dca08dbc48bd9e"


def test_a_shorter_output_is_no_prefix() -> None:
    assert blake2xb(b"m", length=100)[:32] != blake2xb(b"m", length=32)


def test_an_endless_output_is_the_same_in_whatever_pieces_it_is_read() -> None:
    read = blake2xb_reader(b"m")
    assert b"".join(read(length) for length in (0, 1, 63, 64, 72)) == blake2xb_reader(b"m")(200)


def test_an_endless_output_goes_on_in_blocks_that_differ() -> None:
    # Pinned where the keys of CTIDH, which take more than two blocks of it, were those of the reference.
    digest = hashlib.sha256(blake2xb_reader(b"m")(300))
    assert digest.hexdigest() == "1ff6a4ecdd8c8b26b6e64a9df2a46f6750f963fada5b3760e0ccc8a26b3ca17d"
    read = blake2xb_reader(b"m")
    assert len({read(64) for _ in range(5)}) == 5


def test_a_long_key_and_an_empty_output_are_refused() -> None:
    with pytest.raises(KeyLengthError, match="65 bytes"):
        blake2xb(b"", key=bytes(65), length=1)
    with pytest.raises(ValueError, match="0 bytes"):
        blake2xb(b"", length=0)
