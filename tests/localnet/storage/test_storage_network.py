"""Storage of a whole network, on a virtual clock: documents, sharding, faults, replica epochs, restarts."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from kpclientd.localnet import Counted, DropReason, LocalNetwork
from kpclientd.localnet.control import execute
from kpclientd.localnet.errors import ControlError, LocalNetworkError
from kpclientd.localnet.faults import switches
from kpclientd.localnet.storage.courier import REDISPATCHES
from kpclientd.localnet.storage.faults import CourierFaults, ReplicaFaults
from kpclientd.localnet.storage.storage import PROXY_SECONDS
from kpclientd.pigeonhole.codes import CourierCode, ReplicaCode
from kpclientd.pigeonhole.courier_messages import CourierEnvelopeReply, parse_query_reply
from kpclientd.pigeonhole.replica_messages import ReplicaRead, ReplicaWrite, ReplicaWriteReply
from kpclientd.pigeonhole.replicas import key_of, shards_of
from pki.document import Document
from pki.epoch import GENESIS
from pki.wellformed import check_well_formed
from tests.localnet.conftest import PERIOD
from tests.localnet.storage.clients import (
    Query,
    Result,
    a_box,
    ask,
    at_once,
    code_of,
    exchange,
    make_query,
    payload_of,
    storage_network,
)
from tests.support.localnet_client import connect

WEEK = 7 * 24 * 3600.0


def document_of(network: LocalNetwork, epoch: int | None = None) -> Document:
    return Document.parse(network.authorities.certificate(network.epoch if epoch is None else epoch).certified)


def query_for(network: LocalNetwork, request: ReplicaRead | ReplicaWrite, seed: bytes = b"query") -> Query:
    """A query by way of two replicas that are not the request's shards, as far as there are such."""
    assert network.storage is not None
    shards = network.storage.shards(request.box_id)
    others = [replica for replica in network.replicas if replica not in shards]
    return make_query([*others, *shards][:2], request, network.storage.epoch, seed)


@pytest.mark.parametrize("count", [2, 3, 5])
async def test_documents_list_the_replicas_with_keys_of_this_replica_epoch_and_the_next(
    autojump_clock: MockClock, nursery: trio.Nursery, count: int
) -> None:
    network = storage_network(replicas=count)
    await nursery.start(network.run)
    for epoch in (network.epoch, network.epoch + 1):
        document = document_of(network, epoch)
        check_well_formed(document, epoch)
        week = network.clock.replica_epoch(network.unix())
        assert [one.name for one in document.storage_replicas] == [f"replica{n + 1}" for n in range(count)]
        assert document.configured_replica_ids == bytes(range(count))
        assert document.configured_replica_identity_keys == tuple(r.identity.identity_key for r in network.replicas)
        for replica in document.storage_replicas:
            assert replica.envelope_keys.keys() == {week, week + 1}
            assert key_of(document, replica.replica_id, week) == network.replicas[replica.replica_id].keys.public[week]
        assert [courier.endpoint for courier in document.services("courier")] == [b"courier"]


async def test_a_network_without_replicas_has_no_courier(autojump_clock: MockClock, network: LocalNetwork) -> None:
    assert document_of(network).services("courier") == ()
    assert network.replicas == ()


async def test_one_replica_is_too_few() -> None:
    with pytest.raises(LocalNetworkError, match="1 storage replicas cannot be: none, or from 2 to 256"):
        storage_network(replicas=1)


@pytest.mark.parametrize("count", [2, 3, 4, 7])
async def test_what_is_written_by_way_of_any_two_replicas_is_on_both_shards_and_read_by_way_of_any(
    autojump_clock: MockClock, nursery: trio.Nursery, count: int
) -> None:
    network = storage_network(replicas=count)
    await nursery.start(network.run)
    storage = network.storage
    assert storage is not None
    for number in range(4):
        box = a_box(b"box", bytes([number]) * 32)
        assert [one.number for one in storage.shards(box.box_id)] == [
            one.replica_id for one in shards_of(document_of(network), box.box_id)
        ]
        assert code_of(await exchange(network, query_for(network, box, bytes([number])))) == ReplicaCode.SUCCESS
        for first in network.replicas:
            for second in network.replicas:
                if first is not second:
                    seed = bytes([number, first.number, second.number])
                    read = make_query([first, second], ReplicaRead(box.box_id), storage.epoch, seed)
                    assert payload_of(await exchange(network, read)) == box.payload


async def test_a_query_through_the_mixnet_is_answered_by_the_courier(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    client = await connect(network)
    document = (await client.document()).document
    query = query_for(network, a_box())
    assert len(query.encoded) == 2000
    first = parse_query_reply(await client.ping(document, query.encoded, "courier"))
    assert first == CourierEnvelopeReply(query.envelope.hash)
    second = parse_query_reply(await client.ping(document, query.encoded, "courier"))
    assert isinstance(second, CourierEnvelopeReply)
    assert query.open(second.payload) == ReplicaWriteReply(ReplicaCode.SUCCESS)
    assert network.counters.drops == {}
    assert network.counters[Counted.COURIER_QUERIES] == 2


async def test_what_is_no_query_is_dropped(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    network = storage_network()
    await nursery.start(network.run)
    client = await connect(network)
    document = (await client.document()).document
    with trio.move_on_after(30):
        await client.ping(document, b"\7" * 2000, "courier")
    assert network.counters.drops == {DropReason.NO_ANSWER: 1}


async def test_a_box_that_is_written_between_two_polls_is_found(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    read = query_for(network, ReplicaRead(a_box().box_id), b"read")
    assert code_of(await exchange(network, read)) == ReplicaCode.BOX_NOT_FOUND
    await exchange(network, query_for(network, a_box(), b"write"))
    assert payload_of(await exchange(network, read)) == a_box().payload
    assert network.counters[Counted.COURIER_DISPATCHES] <= 2 + REDISPATCHES


@pytest.mark.parametrize("code", [ReplicaCode.BOX_ALREADY_EXISTS, ReplicaCode.INVALID_SIGNATURE])
async def test_refused_writes_are_answered_with_their_code(
    autojump_clock: MockClock, nursery: trio.Nursery, code: ReplicaCode
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    await exchange(network, query_for(network, a_box(), b"first"))
    second = a_box(b"other")
    if code == ReplicaCode.INVALID_SIGNATURE:
        second = ReplicaWrite(second.box_id, bytes(64), second.payload)
    assert code_of(await exchange(network, query_for(network, second, b"second"))) == code


async def test_while_one_shard_is_down_the_other_serves(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    network = storage_network(replicas=4)
    await nursery.start(network.run)
    assert network.storage is not None
    box = a_box()
    await exchange(network, query_for(network, box, b"write"))
    down, up = network.storage.shards(box.box_id)
    down.faults.down = True
    read = query_for(network, ReplicaRead(box.box_id), b"read")
    assert payload_of(await exchange(network, read, 2 * PROXY_SECONDS)) == box.payload
    up.faults.down = True
    again = query_for(network, ReplicaRead(box.box_id), b"again")
    assert await exchange(network, again, 5 * PROXY_SECONDS, polls=2) is None
    network.faults.clear()
    assert payload_of(await exchange(network, again, 5 * PROXY_SECONDS, polls=2)) == box.payload


async def test_intermediates_that_are_down_leave_the_client_with_acknowledgements(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    for replica in network.replicas:
        replica.faults.down = True
    query = query_for(network, a_box())
    assert await exchange(network, query, 20, polls=4) is None
    for replica in network.replicas:
        replica.faults.down = False
    assert code_of(await exchange(network, query, 40, polls=2)) == ReplicaCode.SUCCESS


async def test_keys_of_weeks_ago_open_nothing_and_the_client_polls_in_vain(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    execute(network, "replicas stale-keys on")
    query = query_for(network, a_box())
    assert await exchange(network, query, 20, polls=3) is None
    execute(network, "replicas stale-keys off")
    assert code_of(await exchange(network, query_for(network, a_box(), b"new"))) == ReplicaCode.SUCCESS


async def test_garbage_has_the_length_of_a_reply_and_does_not_open(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    execute(network, "replicas garbage on")
    query = query_for(network, a_box())
    ask(network, query)
    await trio.sleep(1)
    reply = ask(network, query)
    with pytest.raises(Exception, match="do not open"):
        query.open(reply.payload)


async def test_a_slow_replica_answers_later(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    network = storage_network()
    await nursery.start(network.run)
    execute(network, "replicas slow 50")
    query = query_for(network, a_box())
    assert await exchange(network, query, 40) is None
    assert code_of(await exchange(network, query, 20)) == ReplicaCode.SUCCESS


async def test_a_full_replica_says_so(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    network = storage_network()
    await nursery.start(network.run)
    execute(network, "replicas full on")
    assert code_of(await exchange(network, query_for(network, a_box()))) == ReplicaCode.STORAGE_FULL


async def test_an_unlisted_replica_is_missing_from_later_documents_and_stays_configured(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    execute(network, "replica2 unlisted on")
    await trio.sleep(PERIOD)
    document = document_of(network, network.epoch + 1)
    assert [one.replica_id for one in document.storage_replicas] == [0, 2]
    assert document.configured_replica_ids == b"\0\1\2"


async def test_a_replica_with_old_keys_in_later_documents_cannot_be_asked(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    execute(network, "replica2 old-keys-listed on")
    await trio.sleep(PERIOD)
    document = document_of(network, network.epoch + 1)
    check_well_formed(document, network.epoch + 1)
    week = network.clock.replica_epoch(network.unix())
    assert [bool(key_of(document, number, week)) for number in range(3)] == [True, False, True]


@pytest.mark.parametrize("code", [*ReplicaCode, 77])
async def test_a_replica_can_be_told_to_answer_with_any_code(
    autojump_clock: MockClock, nursery: trio.Nursery, code: int
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    execute(network, f"replicas code {int(code)}")
    assert code_of(await exchange(network, query_for(network, a_box(), b"write"))) == code
    assert code_of(await exchange(network, query_for(network, ReplicaRead(a_box().box_id), b"read"))) == code


@pytest.mark.parametrize("code", [*CourierCode, 77])
async def test_a_courier_can_be_told_to_answer_with_any_code(
    autojump_clock: MockClock, nursery: trio.Nursery, code: int
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    query = query_for(network, a_box())
    execute(network, f"courier code {int(code)}")
    assert ask(network, query, 1) == CourierEnvelopeReply(query.envelope.hash, 1, error_code=code)
    execute(network, "courier code off")
    assert code_of(await exchange(network, query)) == ReplicaCode.SUCCESS


async def test_a_courier_can_be_silent_and_can_forget(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    network = storage_network()
    await nursery.start(network.run)
    assert network.storage is not None
    query = query_for(network, a_box())
    execute(network, "courier silent on")
    assert network.storage.query(query.encoded) is None
    execute(network, "courier silent off")
    assert code_of(await exchange(network, query)) == ReplicaCode.SUCCESS
    execute(network, "courier forget")
    assert not ask(network, query).has_payload


@pytest.mark.parametrize(("weeks", "code"), [(1, 0), (2, CourierCode.INVALID_EPOCH), (-1, 0), (-2, 4)])
async def test_storage_that_is_weeks_off_accepts_neighbouring_replica_epochs_only(
    autojump_clock: MockClock, nursery: trio.Nursery, weeks: int, code: int
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    query = query_for(network, a_box())
    execute(network, f"courier weeks-off {weeks}")
    assert ask(network, query).error_code == code
    if not code:
        assert code_of(await exchange(network, query)) == ReplicaCode.SUCCESS


async def test_every_fault_of_storage_can_be_commanded_and_cleared(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    assert network.storage is not None
    for name, kind in (("replica3", ReplicaFaults), ("courier", CourierFaults)):
        for switch in switches(kind):
            value = "on" if switch.argument.usage == "on|off" else "7"
            assert execute(network, f"{name} {switch.name} {value}") == "ok"
    for faulty in (network.replicas[2], network.storage):
        values = [getattr(faulty.faults, switch.attribute) for switch in switches(type(faulty.faults))]
        assert set(values) == {True, 7}
    assert network.replicas[0].faults == ReplicaFaults()
    execute(network, "clear")
    assert network.replicas[2].faults == ReplicaFaults()
    assert network.storage.faults == CourierFaults()
    with pytest.raises(ControlError, match="no command is called 'replica9'"):
        execute(network, "replica9 down on")
    with pytest.raises(ControlError, match="no command is called 'fall'"):
        execute(network, "replicas fall")
    with pytest.raises(ControlError, match="expected a code from 0 to 255, or off; got 256"):
        execute(network, "courier code 256")


async def test_replica_epochs_turn_and_boxes_and_keys_with_them(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    start = GENESIS + 480 * WEEK - 2.5 * PERIOD
    begun = trio.current_time()
    network = storage_network(unix=lambda: start + trio.current_time() - begun)
    await nursery.start(network.run)
    assert network.storage is not None
    await exchange(network, query_for(network, a_box(), b"write"))
    old = query_for(network, ReplicaRead(a_box().box_id), b"old")
    assert network.storage.epoch == 479
    first_of_week = network.clock.epoch(GENESIS + 480 * WEEK + 1)
    keys = document_of(network, first_of_week).storage_replicas[0].envelope_keys
    assert keys.keys() == {479, 480, 481}
    await trio.sleep(3 * PERIOD)
    assert network.storage.epoch == 480
    assert payload_of(await exchange(network, old)) == a_box().payload
    assert payload_of(await exchange(network, query_for(network, ReplicaRead(a_box().box_id)))) == a_box().payload


async def test_boxes_and_keys_outlive_the_network_which_then_makes_no_keys(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    offloaded = 0

    async def counted(work: Callable[[], Result], /) -> Result:
        nonlocal offloaded
        offloaded += 1
        return await at_once(work)

    for made in (6, 0):
        offloaded = 0
        network = storage_network(storage_file=tmp_path / "storage", offload=counted)
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
            assert offloaded == made, "two keys for each of three replicas, once"
            if made:
                await exchange(network, query_for(network, a_box(), b"write"))
            read = query_for(network, ReplicaRead(a_box().box_id), b"read")
            assert payload_of(await exchange(network, read)) == a_box().payload
            nursery.cancel_scope.cancel()


async def test_a_restart_of_the_network_empties_the_couriers_cache_and_keeps_the_boxes(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    query = query_for(network, a_box())
    await exchange(network, query)
    network.restart()
    assert not ask(network, query).has_payload
    read = query_for(network, ReplicaRead(a_box().box_id), b"read")
    assert payload_of(await exchange(network, read)) == a_box().payload
