"""Packets over X25519 by the compiled engines: the bytes and verdicts of the steps in Python, at every edge."""

import sys
import threading

import pytest

from sphinx import Geometry, NodeDelay, NodeId, PathHop, Recipient, RecipientId, Sphinx, SurbId, SurbReply
from sphinx.crypto.nike import X25519
from sphinx.errors import KeyLengthError, PacketError, SphinxError, WeakPublicKeyError
from sphinx.native import engine
from sphinx.native.library import Library, Status
from sphinx.randomness import Randomness, seeded
from tests.sphinx.compiled import COMPILED, needs_engine

HOPS = 5
GEOMETRY = Geometry.nike("x25519", HOPS, 300)
PAYLOAD = bytes(GEOMETRY.forward_payload_length)
PRIVATE_KEYS = [bytes([number + 1]) * 32 for number in range(20)]
PUBLIC_KEYS = [Sphinx(GEOMETRY, engine="python").nike.public_key(key) for key in PRIVATE_KEYS]
LAST = (Recipient(RecipientId(b"echo".ljust(32, b"\0"))), SurbReply(SurbId(bytes(16))))
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
LARGE = 20_000_000
MANY = 50

pytestmark = needs_engine


def one_key(key: bytes) -> Randomness:
    """Gives that key, and zeros for all else."""
    return Randomness(lambda length: key if length == len(key) else bytes(length))


def path(keys: list[bytes]) -> list[PathHop]:
    hops = [PathHop(NodeId(bytes([number]) * 32), key, (NodeDelay(number),)) for number, key in enumerate(keys)]
    return [*hops[:-1], PathHop(hops[-1].node_id, hops[-1].public_key, LAST)]


def both_ways(name: str, geometry: Geometry, keys: list[bytes]) -> list[tuple[bytes, bytes, bytes]]:
    """Packet, SURB and SURB keys of the steps in Python, and of a compiled engine."""
    made = []
    for each in ("python", name):
        sphinx = Sphinx(geometry, engine=each)
        surb = sphinx.new_surb(path(keys), seeded(b"surb"))
        payload = bytes(geometry.forward_payload_length)
        made.append((sphinx.new_packet(path(keys), payload, seeded(b"packet")), surb.surb, surb.keys))
    return made


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("nr_hops", [1, 2, 3, 5, 8, 20])
def test_paths_of_every_length_give_the_same_bytes(name: str, nr_hops: int) -> None:
    geometry = Geometry.nike("x25519", nr_hops, 10, with_surb=False)
    for hops in range(1, nr_hops + 1):
        steps, compiled = both_ways(name, geometry, PUBLIC_KEYS[:hops])
        assert steps == compiled


@pytest.mark.parametrize("name", COMPILED)
def test_a_packet_of_the_most_hops_is_unwrapped_by_all_of_them(name: str) -> None:
    geometry = Geometry.nike("x25519", 20, 10, with_surb=False)
    steps, compiled = Sphinx(geometry, engine="python"), Sphinx(geometry, engine=name)
    assert compiled.is_compiled
    payload = seeded(b"payload").bytes(geometry.forward_payload_length)
    packet: bytes | None = compiled.new_packet(path(PUBLIC_KEYS), payload, seeded(b"long"))
    for private_key in PRIVATE_KEYS:
        assert packet is not None
        unwrapped = compiled.unwrap(private_key, packet)
        assert unwrapped == steps.unwrap(private_key, packet)
        packet = unwrapped.packet
    assert unwrapped.payload == bytes(32) + payload


def on_twist(u: int) -> bool:
    return pow(u * u * u + 486662 * u * u + u, (P - 1) // 2, P) == P - 1


@pytest.mark.parametrize("name", COMPILED)
def test_keys_on_the_twist_or_beyond_the_prime_give_the_same_bytes(name: str) -> None:
    """No honest node has such a key: its packets are lost with any engine, but no bytes may tell engines apart."""
    twisted = [u for u in range(2, 60) if on_twist(u)]
    assert len(twisted) > 20
    for u in [*twisted[:6], P + 3, P + 9, 2**256 - 1, 2**255 + twisted[0]]:
        keys = [*PUBLIC_KEYS[:2], u.to_bytes(32, "little"), PUBLIC_KEYS[3], u.to_bytes(32, "little")]
        steps, compiled = both_ways(name, GEOMETRY, keys)
        assert steps == compiled


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("hop", range(HOPS))
@pytest.mark.parametrize("weak", [bytes(32), b"\1" + bytes(31), P.to_bytes(32, "little")], ids=["0", "1", "p"])
def test_a_degenerate_key_is_refused_at_any_hop(name: str, hop: int, weak: bytes) -> None:
    sphinx = Sphinx(GEOMETRY, engine=name)
    keys = [*PUBLIC_KEYS[:hop], weak, *PUBLIC_KEYS[hop + 1 : HOPS]]
    with pytest.raises(WeakPublicKeyError, match="all-zero"):
        sphinx.new_packet(path(keys), PAYLOAD, seeded(b"weak"))
    with pytest.raises(WeakPublicKeyError, match="all-zero"):
        sphinx.new_surb(path(keys), seeded(b"weak"))


def key_that_leads_to(secret: bytes, private_key: bytes) -> bytes:
    """The public key with which a private key agrees on a secret of the curve's large subgroup: that times the inverse
    of the private key, in the form that X25519 does not change. One in two private keys has one."""
    whole = int.from_bytes(private_key, "little") & ~7 & (2**255 - 1) | 2**254
    inverse = pow(whole, -1, ORDER)
    for negated in (inverse, ORDER - inverse):
        for times in range(8):
            factor = negated + times * ORDER
            if factor % 8 == 0 and 2**254 <= factor < 2**255:
                return X25519().shared_secret(factor.to_bytes(32, "little"), secret)
    raise ValueError("the inverse has no such form")


@pytest.mark.parametrize("name", COMPILED)
def test_a_secret_is_degenerate_only_if_all_its_bytes_are_zero(name: str) -> None:
    """Some u-coordinates of large order have one byte that is not zero, the first or the last."""
    steps, compiled = Sphinx(GEOMETRY, engine="python"), Sphinx(GEOMETRY, engine=name)
    made, randomness = set(), seeded(b"ephemeral")
    for secret in (*(bytes(31) + bytes([u]) for u in range(1, 128)), *(bytes([u]) + bytes(31) for u in range(2, 128))):
        private_key = randomness.bytes(32)
        try:
            key = key_that_leads_to(secret, private_key)
        except ValueError:
            continue
        if X25519().shared_secret(private_key, key) != secret:  # not of the large subgroup
            continue
        made.add(secret[:1] == b"\0")
        packets = [sphinx.new_packet(path([key]), PAYLOAD, one_key(private_key)) for sphinx in (steps, compiled)]
        assert packets[0] == packets[1]
        library = engine(name).library
        assert library is not None
        assert library.multiply(private_key, key) == secret
        onward = packets[0][:2] + key + packets[0][34:]
        assert verdict(compiled, private_key, onward) == verdict(steps, private_key, onward)
    assert made == {True, False}


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize(
    ("before", "next_hop", "is_found"),
    [
        (b"", 65, True),
        (b"\3" + bytes(16), 65, True),
        (b"\2" + bytes(32), 49, False),
        ((b"\x80" + bytes(4)) * 4, 62, False),
        (b"\2" + bytes(32) + b"\3" + bytes(16), 32, False),
    ],
    ids=["alone", "to the last byte", "cut by 16", "cut by 3", "behind two"],
)
def test_a_next_hop_that_is_cut_off_is_none_in_c_too(name: str, before: bytes, next_hop: int, is_found: bool) -> None:
    library, nike = compiled(name), X25519()
    ephemeral = bytes([9]) * 32
    encoded = library.path(
        HOPS,
        1,
        ephemeral=ephemeral,
        keys=PUBLIC_KEYS[0],
        tables=[None],
        fragments=(before + b"\1" + bytes(range(1, next_hop))).ljust(82, b"\0"),
        macs_at=b"",
        filler=bytes((HOPS - 1) * 82),
    )
    packet = bytearray(GEOMETRY.header_length + 64)
    assert library.new_packet(encoded, packet, GEOMETRY.header_length) is Status.DONE
    assert packet[2:34] == nike.public_key(ephemeral)
    header = bytes(packet)
    status, fragment = library.unwrap(HOPS, PRIVATE_KEYS[0], packet)
    assert status is Status.DONE
    assert fragment.startswith(before + b"\1")
    assert (packet[2:34] != header[2:34]) == is_found
    mac = bytes(range(33, 65)) if is_found else header[GEOMETRY.header_length - 32 : GEOMETRY.header_length]
    assert packet[GEOMETRY.header_length - 32 : GEOMETRY.header_length] == mac


@pytest.mark.parametrize("name", COMPILED)
def test_two_keys_of_wrong_lengths_do_not_make_up_for_each_other(name: str) -> None:
    keys = [PUBLIC_KEYS[0][1:], PUBLIC_KEYS[1] + b"\0", PUBLIC_KEYS[2]]
    with pytest.raises(KeyLengthError, match="31 bytes, expected 32"):
        Sphinx(GEOMETRY, engine=name).new_packet(path(keys), PAYLOAD, seeded(b"lengths"))


def verdict(sphinx: Sphinx, private_key: bytes, packet: bytes) -> object:
    try:
        unwrapped = sphinx.unwrap(private_key, packet)
    except SphinxError as error:
        return type(error), str(error), getattr(error, "replay_tag", None)
    return unwrapped.commands, unwrapped.replay_tag, unwrapped.packet, unwrapped.payload


@pytest.mark.parametrize("name", COMPILED)
def test_packets_of_any_length_and_fault_get_the_verdict_of_the_steps(name: str) -> None:
    steps, compiled = Sphinx(GEOMETRY, engine="python"), Sphinx(GEOMETRY, engine=name)
    packet = compiled.new_packet(path(PUBLIC_KEYS[:2]), PAYLOAD, seeded(b"verdict"))
    cases = [packet, packet + b"more", bytes(len(packet)), b"\xff" * len(packet), b""]
    lengths = [1, GEOMETRY.header_length - 1, GEOMETRY.header_length, GEOMETRY.header_length + 31, len(packet) - 1]
    cases += [packet[:length] for length in lengths]
    for at in (0, 1, 2, 33, 34, 200, GEOMETRY.header_length - 1, GEOMETRY.header_length, len(packet) - 1):
        changed = bytearray(packet)
        changed[at] ^= 0x80
        cases.append(bytes(changed))
    onward = steps.unwrap(PRIVATE_KEYS[0], packet).packet
    assert onward is not None
    cases += [onward, onward[: GEOMETRY.header_length + 16], onward[: GEOMETRY.header_length]]
    for case in cases:
        for private_key in (*PRIVATE_KEYS[:3], b"short"):
            assert verdict(compiled, private_key, case) == verdict(steps, private_key, case)


@pytest.mark.parametrize("name", COMPILED)
def test_every_byte_of_a_headers_mac_counts(name: str) -> None:
    sphinx = Sphinx(GEOMETRY, engine=name)
    packet = sphinx.new_packet(path(PUBLIC_KEYS[:2]), PAYLOAD, seeded(b"mac"))
    for at in range(GEOMETRY.header_length - 32, GEOMETRY.header_length):
        changed = bytearray(packet)
        changed[at] ^= 1
        with pytest.raises(PacketError, match="header MAC is wrong"):
            sphinx.unwrap(PRIVATE_KEYS[0], bytes(changed))


@pytest.mark.parametrize("name", COMPILED)
def test_a_packet_is_left_alone_where_it_can_not_be_unwrapped(name: str) -> None:
    sphinx = Sphinx(GEOMETRY, engine=name)
    packet = sphinx.new_packet(path(PUBLIC_KEYS[:2]), PAYLOAD, seeded(b"alone"))
    kept = bytearray(packet)
    library = engine(name).library
    assert library is not None
    status, fragment = library.unwrap(HOPS, PRIVATE_KEYS[1], kept)
    assert (status, fragment) == (Status.WRONG_MAC, bytes(82))
    assert kept == packet
    with pytest.raises(PacketError):
        sphinx.unwrap(PRIVATE_KEYS[1], packet)
    assert sphinx.unwrap(PRIVATE_KEYS[0], packet).packet is not None


def compiled(name: str) -> Library:
    library = engine(name).library
    assert library is not None
    return library


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize(("nr_hops", "hops", "mac_at"), [(21, 1, 0), (5, 6, 0), (5, 0, 0), (5, 2, 51)])
def test_shapes_beyond_the_bounds_are_refused_in_c_too(name: str, nr_hops: int, hops: int, mac_at: int) -> None:
    library = compiled(name)
    room = 32 * 82
    path = library.path(
        nr_hops,
        hops,
        ephemeral=bytes(32),
        keys=bytes(room),
        tables=[None] * 32,
        fragments=bytes(room),
        macs_at=bytes([mac_at] * 32),
        filler=bytes(room),
    )
    packet = bytearray(room)
    assert library.new_packet(path, packet, room) == Status.WRONG_SHAPE
    assert packet == bytes(room)


@pytest.mark.parametrize("name", COMPILED)
def test_a_packet_shorter_than_a_header_is_refused_in_c_too(name: str) -> None:
    library = compiled(name)
    short = bytearray(GEOMETRY.header_length - 1)
    assert library.unwrap(HOPS, PRIVATE_KEYS[0], short)[0] == Status.WRONG_SHAPE
    assert library.unwrap(21, PRIVATE_KEYS[0], bytearray(5000))[0] == Status.WRONG_SHAPE
    assert library.open_reply(b"", 0, bytes(64)) is None
    assert library.open_reply(bytes(64), 1, bytes(31)) is None


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_every_byte_of_a_replys_tag_counts(name: str, layers: int) -> None:
    library, cipher = compiled(name), engine(name)
    material = seeded(b"reply").bytes(64 * layers)

    def delivered(opened: bytes) -> bytes:
        """What comes, where that is to be found: all layers but the last were deciphered, in the other order."""
        blocks = [material[at : at + 64] for at in range(0, len(material), 64)]
        payload = cipher.encipher(blocks[-1], opened)
        for block in reversed(blocks[:-1]):
            payload = cipher.decipher(block, payload)
        return payload

    for rest in (b"", b"answer"):
        assert library.open_reply(material, layers, delivered(bytes(32) + rest)) == rest
        for at in range(32):
            tag = bytes(at) + b"\1" + bytes(31 - at)
            assert library.open_reply(material, layers, delivered(tag + rest)) is None


@pytest.mark.parametrize("name", COMPILED)
def test_other_threads_run_while_a_packet_is_made(name: str) -> None:
    """With threads that take turns only where one lets go, the call is the only place to do so."""
    geometry = Geometry.nike("x25519", 1, LARGE, with_surb=False)
    sphinx, payload = Sphinx(geometry, engine=name), bytes(LARGE)
    ran, seen = threading.Event(), []

    def work() -> None:
        for _ in range(MANY):
            sphinx.new_packet(path(PUBLIC_KEYS[:1]), payload, Randomness(bytes))
            seen.append(ran.is_set())
            if seen[-1]:
                return

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e6)
    try:
        worker = threading.Thread(target=work)
        worker.start()
        ran.set()
        worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert seen[-1]
