"""Which gateways may be dialled, and when."""

from collections import Counter
from dataclasses import replace

from kpclientd.config.model import PinnedGateway
from kpclientd.gateway.choice import (
    LONGEST_WAIT_IF_THERE_SECONDS,
    LONGEST_WAIT_SECONDS,
    GatewayChoice,
    GatewayPool,
)
from pki import Document
from sphinx.randomness import seeded
from tests.pki.network import FIRST_EPOCH, document, gateway

TRANSPORTS = ("tcp", "tcp4", "quic")
RANDOM = seeded(b"gateways")
NODES = tuple(
    replace(gateway(f"gateway{n}", FIRST_EPOCH, RANDOM), addresses={"tcp4": (f"tcp://192.0.2.{n}:1",)})
    for n in range(4)
)


def listing(*numbers: int) -> Document:
    return replace(document(FIRST_EPOCH), gateway_nodes=tuple(NODES[number] for number in numbers))


def pin(number: int) -> PinnedGateway:
    node = NODES[number]
    return PinnedGateway(node.name, node.identity_key, node.link_key, node.addresses["tcp4"])


def pool(*pins: int) -> GatewayPool:
    return GatewayPool([pin(number) for number in pins], TRANSPORTS, lambda url: url.startswith("tcp"), seeded(b"pool"))


def names(choices: tuple[GatewayChoice, ...]) -> list[str]:
    return sorted(choice.name[-1] for choice in choices)


def test_the_pins_are_dialled_until_there_is_a_document_and_then_its_gateways() -> None:
    gateways = pool(0, 1)
    assert names(gateways.candidates()) == ["0", "1"]
    gateways.follow(listing(2, 3))
    assert names(gateways.candidates()) == ["2", "3"]


def test_those_of_the_last_document_are_remembered_past_its_end() -> None:
    gateways = pool(0)
    gateways.follow(listing(2, 3))
    gateways.follow(None)
    assert names(gateways.candidates()) == ["0", "2", "3"]


def test_the_pins_are_tried_too_when_each_listed_gateway_has_failed_twice() -> None:
    gateways = pool(0)
    gateways.follow(listing(2, 3))
    two, three = gateways.candidates()
    for choice in (two, two, three):
        gateways.failed(choice, 0.0)
    assert names(gateways.candidates()) == ["2", "3"]
    gateways.failed(three, 0.0)
    assert names(gateways.candidates()) == ["0", "2", "3"]
    gateways.settled(two)
    assert names(gateways.candidates()) == ["2", "3"]


def test_what_cannot_be_dialled_is_never_drawn() -> None:
    odd = replace(NODES[1], addresses={"quic": ("quic://192.0.2.9:1",), "onion": ("onion://x.onion:1",)})
    gateways = pool()
    gateways.follow(replace(listing(0), gateway_nodes=(NODES[0], odd)))
    assert {gateways.draw(float(n)) for n in range(50)} == set(gateways.candidates())
    assert names(gateways.candidates()) == ["0"]
    gateways.follow(replace(listing(0), gateway_nodes=(odd,)))
    assert gateways.draw(0.0) is None and gateways.next_due() is None
    assert "quic://192.0.2.9:1" in gateways.why_none()


def test_without_any_gateway_the_reason_is_told() -> None:
    assert "pins no gateway" in pool().why_none()


def test_each_is_as_likely_as_any_other() -> None:
    gateways = pool(0, 1, 2, 3)
    counts = Counter(choice.name for n in range(4000) if (choice := gateways.draw(float(n))))
    assert set(counts.values()) <= set(range(880, 1120)), counts  # 1000 ± 4.4 standard deviations


def test_one_that_failed_rests_ever_longer_and_the_others_do_not() -> None:
    gateways = pool(0, 1)
    one, two = gateways.candidates()
    waits = []
    now = 0.0
    for _ in range(8):
        gateways.failed(one, now)
        assert gateways.draw(now) == two
        gateways.failed(two, 1e9)
        due = gateways.next_due()
        gateways.settled(two)
        assert due is not None
        waits.append(due - now)
        now = due
    assert all(0.8 * 2**n <= wait <= 2**n for n, wait in enumerate(waits[:4]))
    assert all(0.8 * LONGEST_WAIT_SECONDS <= wait <= LONGEST_WAIT_SECONDS for wait in waits[4:])


def test_where_somebody_refuses_the_rests_are_shorter() -> None:
    gateways = pool(0)
    (one,) = gateways.candidates()
    for _ in range(10):
        gateways.failed(one, 0.0, is_there=True)
    due = gateways.next_due()
    assert due is not None and due <= LONGEST_WAIT_IF_THERE_SECONDS


def test_when_the_way_to_the_network_has_changed_all_may_be_dialled_at_once() -> None:
    gateways = pool(0)
    gateways.failed(gateways.candidates()[0], 0.0)
    assert gateways.draw(0.0) is None
    gateways.forget_failures()
    assert gateways.draw(0.0) is not None


def test_a_gateway_with_a_new_key_is_another_one() -> None:
    gateways = pool(0)
    gateways.follow(listing(0, 1))
    old = next(choice for choice in gateways.candidates() if choice.name == "gateway0")
    gateways.failed(old, 0.0)
    changed = replace(NODES[0], link_key=bytes(32))
    gateways.follow(replace(listing(0), gateway_nodes=(changed, NODES[1])))
    assert not gateways.is_listed(old)
    assert all(gateways.is_listed(choice) for choice in gateways.candidates())
    assert {choice.name for n in range(30) if (choice := gateways.draw(0.0))} == {"gateway0", "gateway1"}


def test_addresses_come_in_the_order_of_preference() -> None:
    addresses = {"tcp4": ("tcp://192.0.2.1:1",), "tcp": ("tcp://192.0.2.2:1", "tcp://192.0.2.1:1")}
    gateways = pool()
    gateways.follow(replace(listing(0), gateway_nodes=(replace(NODES[0], addresses=addresses),)))
    assert gateways.candidates()[0].addresses == ("tcp://192.0.2.2:1", "tcp://192.0.2.1:1")
