import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx.errors import GeometryError, UnsupportedSchemeError
from sphinx.geometry import MAX_HOPS, MAX_PACKET_LENGTH, Geometry
from sphinx.packet import Sphinx
from sphinx.schemes import KEM_CIPHERTEXT_LENGTHS, NIKE_PUBLIC_KEY_LENGTHS, kem_element_length, nike_element_length
from tests.support.vectors import recorded

RECORDED = recorded("geometry_hashes.json")
CASES = RECORDED["cases"]
DEFAULT = Geometry.nike("x25519", 5, 2000)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.get("note") or case["hash"][:12])
def test_every_recorded_geometry_is_recomputed_with_its_digest(case: dict[str, Any]) -> None:
    fields = case["geometry"]
    geometry = Geometry.from_fields(fields)
    assert geometry.fields() == fields
    assert geometry.digest().hex() == case["hash"]


def test_the_table_is_written_as_the_reference_writes_it() -> None:
    assert DEFAULT.toml() == RECORDED["default_toml"]


def test_the_digest_of_the_networks_in_use_is_the_one_in_their_documents() -> None:
    expected = "ed57ca3bc2165a0483e0d16d97511e15f318ed5cedfc3e7388c85ee8a2c0fb47"
    assert DEFAULT.digest().hex() == expected


def test_the_default_lengths_are_those_of_the_specification() -> None:
    assert (DEFAULT.packet_length, DEFAULT.header_length, DEFAULT.surb_length) == (3082, 476, 572)
    assert (DEFAULT.forward_payload_length, DEFAULT.routing_info_length) == (2574, 410)


def test_names_match_in_any_case_and_unknown_ones_are_ignored() -> None:
    fields = {name.upper(): value for name, value in DEFAULT.fields().items()}
    assert Geometry.from_fields({**fields, "Colour": "blue"}) == DEFAULT


def test_the_name_of_a_scheme_is_kept_literally_and_changes_the_digest() -> None:
    shouted = Geometry.nike("X25519", 5, 2000)
    assert shouted.nike_name == "X25519"
    assert shouted.packet_length == DEFAULT.packet_length
    assert shouted.digest() != DEFAULT.digest()


@pytest.mark.parametrize("name", [name for name, value in DEFAULT.fields().items() if isinstance(value, int)])
def test_a_field_that_contradicts_the_others_is_refused(name: str) -> None:
    fields = DEFAULT.fields()
    fields[name] = int(fields[name]) + 1
    with pytest.raises(GeometryError):
        Geometry.from_fields(fields)


@pytest.mark.parametrize("value", ["5", 5.0, True, None, b"5"])
def test_a_number_of_another_type_is_refused_by_name(value: object) -> None:
    with pytest.raises(GeometryError, match="NrHops"):
        Geometry.from_fields({**DEFAULT.fields(), "NrHops": value})


def test_a_missing_number_is_refused_by_name() -> None:
    fields = DEFAULT.fields()
    del fields["SURBLength"]
    with pytest.raises(GeometryError, match="SURBLength is missing"):
        Geometry.from_fields(fields)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(GeometryError, match="twice"):
        Geometry.from_fields({**DEFAULT.fields(), "nrhops": 5})


@pytest.mark.parametrize(("nike", "kem"), [("", ""), ("x25519", "x25519")])
def test_exactly_one_scheme_must_be_named(nike: str, kem: str) -> None:
    with pytest.raises(GeometryError, match="exactly one"):
        Geometry.from_fields({**DEFAULT.fields(), "NIKEName": nike, "KEMName": kem})


@pytest.mark.parametrize("hops", [0, -1, MAX_HOPS + 1])
def test_paths_without_hops_or_with_too_many_make_no_geometry(hops: int) -> None:
    with pytest.raises(GeometryError, match=f"NrHops is {hops}, expected 1 to {MAX_HOPS}"):
        Geometry.nike("x25519", hops, 2000)


@pytest.mark.parametrize("payload", [-1, MAX_PACKET_LENGTH + 1])
def test_a_payload_out_of_range_makes_no_geometry(payload: int) -> None:
    with pytest.raises(GeometryError, match=f"UserForwardPayloadLength is {payload}, expected 0 to"):
        Geometry.nike("x25519", 5, payload)


def test_a_packet_may_be_as_long_as_a_wire_message_and_no_longer() -> None:
    around = DEFAULT.packet_length - DEFAULT.user_forward_payload_length
    longest = MAX_PACKET_LENGTH - around
    assert Geometry.nike("x25519", 5, longest).packet_length == MAX_PACKET_LENGTH
    with pytest.raises(GeometryError, match=f"makes packets of {MAX_PACKET_LENGTH + 1} bytes"):
        Geometry.nike("x25519", 5, longest + 1)


def test_an_unknown_scheme_makes_no_geometry() -> None:
    with pytest.raises(GeometryError, match="rot13"):
        Geometry.nike("rot13", 5, 2000)


def test_scheme_lengths_are_found_in_any_case_and_unknown_names_refused() -> None:
    assert nike_element_length("ctidh1024-X448") == NIKE_PUBLIC_KEY_LENGTHS["ctidh1024-x448"] == 184
    assert kem_element_length("XWing") == KEM_CIPHERTEXT_LENGTHS["xwing"] == 1120
    with pytest.raises(UnsupportedSchemeError):
        kem_element_length("kyber768")


@pytest.mark.parametrize(
    "geometry", [Geometry.kem("HQC-128", 5, 2000), Geometry.nike("ctidh512", 5, 2000)], ids=["kem", "ctidh"]
)
def test_schemes_without_implementation_are_refused_when_packets_are_wanted(geometry: Geometry) -> None:
    with pytest.raises(UnsupportedSchemeError, match="not supported here, because"):
        Sphinx(geometry)


@given(st.sampled_from(sorted(NIKE_PUBLIC_KEY_LENGTHS)), st.integers(1, 20), st.integers(0, 60000), st.booleans())
def test_any_geometry_survives_its_table(scheme: str, hops: int, payload: int, with_surb: bool) -> None:
    geometry = Geometry.nike(scheme, hops, payload, with_surb=with_surb)
    assert Geometry.from_fields(tomllib.loads(geometry.toml())["SphinxGeometry"]) == geometry
