"""The SOCKS users that keep gateways apart."""

import hashlib

from kpclientd.transports.isolation import MOST_CIRCUITS, SHORTEST_CIRCUIT_SECONDS, StreamIsolation
from sphinx.randomness import seeded


def test_a_user_has_the_references_form() -> None:
    session = int.from_bytes(seeded(b"any").bytes(8))
    made = StreamIsolation(4711, 1_800_000_000, seeded(b"any")).credentials(b"\1\xab")
    process = hashlib.new("sha512_256", (4711).to_bytes(8) + (1_800_000_000).to_bytes(8)).digest()[:8].hex()
    tag = hashlib.new("sha512_256", f"session {session} gateway 01ab".encode()).digest()[:16].hex()
    assert made.user == f"katzenpost/client:{process}:{tag}".encode()
    assert made.password == b"\0"


def test_each_gateway_has_its_own_and_keeps_it() -> None:
    isolation = StreamIsolation(1, 2, seeded(b"any"))
    users = [isolation.credentials(gateway).user for gateway in (b"a", b"b", b"a", b"")]
    assert users[0] == users[2]
    assert len(set(users)) == 3


def test_a_gateways_circuit_is_renewed_now_and_then_and_no_others() -> None:
    isolation = StreamIsolation(1, 2, seeded(b"any"))
    users = []
    for now in (0.0, 1.0, SHORTEST_CIRCUIT_SECONDS - 1.0, SHORTEST_CIRCUIT_SECONDS):
        isolation.renew(b"a", now)
        users.append((isolation.credentials(b"a").user, isolation.credentials(b"b").user))
    assert users[0] == users[1] == users[2] != users[3]
    assert {user for _, user in users} == {StreamIsolation(1, 2, seeded(b"any")).credentials(b"b").user}


def test_circuits_of_any_number_of_gateways_are_renewed() -> None:
    isolation = StreamIsolation(1, 2, seeded(b"any"))
    for number in range(MOST_CIRCUITS + 10):
        gateway = number.to_bytes(4)
        before = isolation.credentials(gateway).user
        isolation.renew(gateway, 0.0)
        assert isolation.credentials(gateway).user != before
    assert len(isolation._circuits) == MOST_CIRCUITS


def test_each_daemon_has_its_own() -> None:
    one, other = (StreamIsolation(1, 2, seeded(seed)) for seed in (b"a", b"b"))
    assert one.credentials(b"gateway").user != other.credentials(b"gateway").user
