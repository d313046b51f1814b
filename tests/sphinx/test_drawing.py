"""The drawings say the truth about packets, and docs/sphinx.md has the current ones."""

import re
import shlex
from pathlib import Path

import pytest

from sphinx import Geometry, NodeId, PathHop, Recipient, RecipientId, Sphinx, compose_plaintext
from sphinx.crypto.kdf import hop_keys
from sphinx.crypto.mac import header_mac
from sphinx.randomness import seeded
from tests.support.packet_drawing import (
    Field,
    drawing,
    fragment_fields,
    header_fields,
    main,
    payload_fields,
    surb_fields,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "sphinx.md"
DRAWN = re.compile(r"<!-- drawing: (.*?) -->\n```\n(.*?)```\n", re.DOTALL)
DEFAULT = Geometry.nike("x25519", 5, 2000)
GEOMETRIES = [DEFAULT, Geometry.nike("x448", 20, 0), Geometry.kem("XWING", 7, 333), Geometry.kem("x25519", 1, 1)]


def sliced(data: bytes, fields: tuple[Field, ...]) -> dict[str, bytes]:
    parts, offset = {}, 0
    for field in fields:
        parts[field.name] = data[offset : offset + field.length]
        offset += field.length
    assert offset == len(data)
    return parts


def test_the_document_has_the_drawings_that_the_code_makes(capsys: pytest.CaptureFixture[str]) -> None:
    found = DRAWN.findall(DOCUMENT.read_text())
    assert len(found) == 2
    for arguments, drawn in found:
        assert main(shlex.split(arguments)) == 0
        assert capsys.readouterr().out == drawn, f"run: python -m tests.support.packet_drawing {arguments}"


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: geometry.nike_name or geometry.kem_name)
def test_fields_sum_to_what_the_geometry_says(geometry: Geometry) -> None:
    def total(fields: tuple[Field, ...]) -> int:
        return sum(field.length for field in fields)

    assert total(header_fields(geometry)) == geometry.header_length
    assert total(payload_fields(geometry)) == geometry.packet_length - geometry.header_length
    assert total(surb_fields(geometry)) == geometry.surb_length
    assert total(fragment_fields(geometry)) == geometry.per_hop_routing_info_length


def test_the_fields_of_a_real_packet_are_where_they_are_drawn() -> None:
    sphinx, randomness = Sphinx(DEFAULT), seeded(b"drawing")
    private = sphinx.nike.generate(randomness.bytes)
    recipient = Recipient(RecipientId(b"echo".ljust(32, b"\0")))
    path = [PathHop(NodeId(bytes(range(32))), sphinx.nike.public_key(private), (recipient,))]
    surb = sphinx.new_surb(path, randomness)
    drawn = sliced(surb.surb, surb_fields(DEFAULT))
    assert drawn["first hop"] == bytes(range(32))
    assert drawn["payload key"] + drawn["payload nonce"] == surb.keys[-64:]

    packet = sphinx.new_packet(path, compose_plaintext(DEFAULT, b"message", surb.surb), randomness)
    header = sliced(packet[: DEFAULT.header_length], header_fields(DEFAULT))
    keys = hop_keys(sphinx.nike.shared_secret(private, header["group element"]))
    assert header["version"] == bytes(2)
    assert header["MAC"] == header_mac(keys.mac_key, packet[: DEFAULT.header_length - 32])

    plaintext = sphinx.unwrap(private, packet).payload
    assert plaintext is not None
    payload = sliced(bytes(32) + plaintext, payload_fields(DEFAULT))
    assert payload["flags, reserved"] == b"\x01\x00"
    assert payload["SURB"] == surb.surb
    assert payload["message"] == b"message".ljust(2000, b"\0")


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: geometry.nike_name or geometry.kem_name)
def test_a_drawing_is_straight(geometry: Geometry) -> None:
    boxes = [line for line in drawing(geometry).splitlines() if line.endswith(("+", " |")) and "hop" not in line[:6]]
    assert len({len(line) for line in boxes}) == 1
    hops = [line for line in drawing(geometry).splitlines() if line.startswith("  hop")]
    assert len(hops) == geometry.nr_hops
    assert all(line.count("|") == geometry.nr_hops + 1 for line in hops)


def test_a_geometry_without_surbs_draws_none() -> None:
    bare = Geometry.nike("x25519", 5, 100, with_surb=False)
    assert [field.name for field in payload_fields(bare)] == ["tag", "message"]


def test_wrong_arguments_say_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rot13"]) == 1
    assert "rot13" in capsys.readouterr().err
    assert main(["x25519", "five"]) == 2
    assert main(["x25519", "5", "2000", "7"]) == 2
    assert capsys.readouterr().err.count("usage:") == 2


def test_no_arguments_draw_the_networks_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == drawing(DEFAULT)
