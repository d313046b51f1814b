"""Everything that a local network can do wrong, as a client meets it."""

from dataclasses import fields

import pytest
import trio
from trio.testing import MockClock

from kpclientd.localnet import Counted, DocumentFault, DropReason, Faults, LocalNetwork
from kpclientd.wire.commands import Consensus2, Message, MessageDelivered, NoOp
from kpclientd.wire.consensus import Unavailable
from kpclientd.wire.errors import ConsensusError, DecryptionError, WireError
from pki.document import Document
from pki.errors import (
    CertificateExpiredError,
    DocumentRejected,
    EpochMismatch,
    GeometryMismatch,
    ThresholdError,
)
from sphinx.errors import SphinxError
from sphinx.randomness import seeded
from tests.localnet.conftest import PERIOD
from tests.support.localnet_client import Closed, MixnetClient, connect

MANY = 200


@pytest.fixture
async def client(network: LocalNetwork) -> MixnetClient:
    return await connect(network)


async def _settled(network: LocalNetwork) -> None:
    """Long enough for every packet to arrive or be dropped."""
    await trio.sleep(PERIOD)
    assert network.transit.packets.count == 0


async def _post_many(client: MixnetClient) -> Document:
    document = (await client.document()).document
    for number in range(MANY):
        await client.post(document, number.to_bytes(2, "big"))
    return document


async def test_packets_and_replies_are_lost_independently_with_the_probability_given(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    network = client.network
    network.faults.loss = 0.2
    await _post_many(client)
    await _settled(network)
    lost = network.counters[DropReason.FAULT_PACKET_LOST]
    assert 20 <= lost <= 60  # mean 40, deviation 5.7
    assert network.counters[Counted.REQUESTS_ANSWERED] == MANY - lost
    lost_replies = network.counters[DropReason.FAULT_REPLY_LOST]
    assert 12 <= lost_replies <= 52  # mean 32
    assert network.counters[Counted.REPLIES_SPOOLED] == MANY - lost - lost_replies


async def test_delay_holds_packet_and_reply_up_for_so_long(autojump_clock: MockClock, client: MixnetClient) -> None:
    network = client.network
    document = (await client.document()).document
    network.faults.delay = 2.0
    begun = trio.current_time()
    await client.ping(document, b"slow")
    assert 4.0 < trio.current_time() - begun < 5.0


async def test_jitter_lets_replies_overtake_each_other(autojump_clock: MockClock, client: MixnetClient) -> None:
    document = (await client.document()).document
    client.network.faults.jitter = 3.0
    sent = [await client.post(document, bytes([number])) for number in range(10)]
    received = [(await client.reply())[0] for _ in range(10)]
    assert sorted(received) == sorted(sent)
    assert received != sent


async def test_a_duplicated_packet_is_a_replay_and_a_duplicated_reply_comes_twice(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    network = client.network
    document = (await client.document()).document
    network.faults.duplicate = 1.0
    surb_id = await client.post(document, b"twin")
    assert [(await client.reply())[0] for _ in range(2)] == [surb_id, surb_id]
    await _settled(network)
    assert network.counters.drops == {DropReason.REPLAY: 1}


async def test_a_corrupted_packet_is_noticed_by_a_node(autojump_clock: MockClock, client: MixnetClient) -> None:
    network = client.network
    network.faults.corrupt_packets = 1.0
    await _post_many(client)
    await _settled(network)
    assert network.counters.drops == {DropReason.UNWRAP_FAILED: MANY}


async def test_a_corrupted_reply_does_not_open(autojump_clock: MockClock, client: MixnetClient) -> None:
    document = (await client.document()).document
    client.network.faults.corrupt_replies = 1.0
    await client.post(document, b"bent")
    with pytest.raises(SphinxError):
        await client.reply()


async def test_a_skipped_consensus_never_comes(autojump_clock: MockClock, client: MixnetClient) -> None:
    network = client.network
    skipped = network.epoch + 1
    network.faults.skip_consensus(skipped)
    await trio.sleep(PERIOD * 0.7)
    before = await client.fetch(skipped)
    await trio.sleep(PERIOD * 0.3)
    after = await client.fetch(skipped)
    assert isinstance(before, Unavailable)
    assert isinstance(after, Unavailable)
    assert (before.code, after.code) == (1, 2)
    stopgap = (await client.document(skipped - 1)).document
    assert await client.ping(stopgap, b"with the last document") == b"with the last document"
    await trio.sleep(PERIOD)
    assert (await client.document()).document.epoch == skipped + 1


async def test_a_reset_ends_all_connections_and_new_ones_work(autojump_clock: MockClock, client: MixnetClient) -> None:
    client.network.faults.reset_connections()
    with pytest.raises((Closed, trio.BrokenResourceError)):
        await client.next_command()
    again = await connect(client.network)
    assert (await again.document()).document.epoch == client.network.epoch


async def test_on_tcp_a_reset_is_a_reset() -> None:
    network = LocalNetwork()
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        async with await trio.open_tcp_stream(*network.gateway_address) as stream:
            client = await connect(network, stream)
            network.faults.reset_connections()
            with pytest.raises(trio.BrokenResourceError):
                await client.next_command()
        nursery.cancel_scope.cancel()


async def test_a_half_open_connection_is_silent_for_ever_and_new_ones_work(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    document = (await client.document()).document
    await client.post(document, b"into the void")
    client.network.faults.half_open()
    with trio.move_on_after(1000) as patience:
        await client.next_command()
    assert patience.cancelled_caught
    again = await connect(client.network)
    assert await again.ping((await again.document()).document, b"alive") == b"alive"


async def test_a_bad_authenticator_comes_at_once(autojump_clock: MockClock, client: MixnetClient) -> None:
    assert await client.next_command() == NoOp()
    begun = trio.current_time()
    client.network.faults.bad_mac()
    with pytest.raises(DecryptionError):
        await client.next_command()
    assert trio.current_time() == begun


async def test_a_connection_closed_at_once_is_closed_before_a_word(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    network.faults.close_at_once = True
    with pytest.raises((Closed, trio.BrokenResourceError)):
        await connect(network)
    network.faults.close_at_once = False
    await connect(network)


async def test_a_silent_gateway_never_answers_the_handshake(autojump_clock: MockClock, network: LocalNetwork) -> None:
    network.faults.silent_handshake = True
    with trio.move_on_after(1000) as patience:
        await connect(network)
    assert patience.cancelled_caught


async def test_an_impostor_is_found_out_in_the_handshake(autojump_clock: MockClock, network: LocalNetwork) -> None:
    network.faults.impostor = True
    with pytest.raises(WireError):
        await connect(network)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (DocumentFault.TOO_FEW_SIGNATURES, ThresholdError),
        (DocumentFault.NO_SIGNATURES, ThresholdError),
        (DocumentFault.UNLISTED_SIGNER, ThresholdError),
        (DocumentFault.REPEATED_SIGNER, DocumentRejected),
        (DocumentFault.WRONG, ThresholdError),
        (DocumentFault.KEY_TYPE, ThresholdError),
        (DocumentFault.VERSION, DocumentRejected),
        (DocumentFault.EXPIRED, CertificateExpiredError),
        (DocumentFault.FUTURE, EpochMismatch),
        (DocumentFault.PAST, EpochMismatch),
        (DocumentFault.BAD_GEOMETRY, GeometryMismatch),
        (DocumentFault.NO_GATEWAYS, DocumentRejected),
        (DocumentFault.NO_MIX_KEYS, DocumentRejected),
        (DocumentFault.GARBAGE, DocumentRejected),
        (DocumentFault.TRUNCATED_GZIP, ConsensusError),
        (DocumentFault.GZIP_BOMB, ConsensusError),
        (DocumentFault.CHUNKS_OUT_OF_ORDER, ConsensusError),
        (DocumentFault.CHUNK_TOTAL_CHANGES, ConsensusError),
    ],
)
async def test_a_faulty_document_is_rejected_for_its_own_reason(
    autojump_clock: MockClock, client: MixnetClient, fault: DocumentFault, error: type[Exception]
) -> None:
    client.network.faults.document = fault
    with pytest.raises(error):
        await client.document()


@pytest.mark.parametrize(("fault", "code"), [(DocumentFault.NOT_FOUND, 1), (DocumentFault.GONE, 2)])
async def test_a_document_can_be_denied(
    autojump_clock: MockClock, client: MixnetClient, fault: DocumentFault, code: int
) -> None:
    client.network.faults.document = fault
    answer = await client.fetch(client.network.epoch)
    assert isinstance(answer, Unavailable)
    assert answer.code == code


async def test_a_document_can_come_twice_though_asked_for_once(autojump_clock: MockClock, client: MixnetClient) -> None:
    client.network.faults.document = DocumentFault.DUPLICATE
    await client.document()
    spurious = await client.next_but_heartbeats()
    assert isinstance(spurious, Consensus2)
    assert spurious.chunk == 0


async def test_a_request_for_a_document_can_stay_unanswered(autojump_clock: MockClock, client: MixnetClient) -> None:
    client.network.faults.document = DocumentFault.SILENCE
    with trio.move_on_after(30) as patience:
        await client.document()
    assert patience.cancelled_caught


async def test_every_document_fault_is_tested_above() -> None:
    marks = test_a_faulty_document_is_rejected_for_its_own_reason.pytestmark  # type: ignore[attr-defined]
    tested = {fault for fault, _ in marks[0].args[1]}
    others = {DocumentFault.NOT_FOUND, DocumentFault.GONE, DocumentFault.DUPLICATE, DocumentFault.SILENCE}
    assert tested | others == set(DocumentFault)


async def test_after_clearing_the_faults_nothing_is_wrong_any_more(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    network = client.network
    network.faults.loss = network.faults.corrupt_replies = 1.0
    network.faults.document = DocumentFault.GONE
    network.faults.skip_consensus(network.epoch)
    network.faults.clear()
    document = (await client.document()).document
    assert await client.ping(document, b"fine") == b"fine"


def test_clearing_puts_every_switch_back() -> None:
    faults = Faults(seeded(b"faults"), connections=lambda: ())
    untouched = Faults(faults.randomness, connections=faults.connections)
    for switch in fields(faults):
        if switch.repr:
            setattr(faults, switch.name, "touched")
    faults.clear()
    assert faults == untouched


async def test_what_is_spooled_for_one_who_left_is_deleted_when_the_epoch_ends(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    network = client.network
    document = (await client.document()).document
    await client.post(document, b"too late")
    await client.stream.aclose()
    await _settled(network)
    again = await connect(network, queue=client.queue)
    assert await again.next_command() == NoOp()
    assert network.counters.drops == {DropReason.SPOOL_EXPIRED: 1}


async def test_a_message_pushed_with_a_late_acknowledgement_still_counts(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    document = (await client.document()).document
    await client.post(document, b"patience")
    message = await client.next_but_heartbeats()
    assert isinstance(message, Message)
    await trio.sleep(59)
    await client.send(MessageDelivered(message.sequence))
    assert await client.next_command() == NoOp()
    assert client.network.gateway.spool.waiting(client.queue) == 0
