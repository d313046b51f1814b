"""Writes the first inputs of each target: `python -m tests.fuzz.seeds`. What fuzzing finds is kept beside them."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import cbor2

from arq import AppId
from kpclientd.loopix import messages_pb2 as pb
from kpclientd.loopix.framing import encode_frame
from kpclientd.loopix.nodes import PROVIDER_LAYER, ClientConfig, MixConfig
from kpclientd.loopix.packet import COMM, general
from kpclientd.loopix.profile import PROFILES
from kpclientd.loopix.requests import Fetch, Flush, GetClients, Request, Send, encode_json_request, encode_request
from kpclientd.pigeonhole.courier_messages import CourierEnvelope, encode_query
from kpclientd.pigeonhole.replica_messages import ReplicaReadReply, encode_reply
from kpclientd.pigeonhole.trunnel import pad
from kpclientd.state.record_log import LogWriter
from kpclientd.state.rows import answer_key, content_key, progress_key, session_key
from kpclientd.wire.commands import Command, GetConsensus, GetConsensus2, Message, MessageDelivered, NoOp, SendPacket
from kpclientd.wire.consensus import consensus_commands
from pki.signatures import SIGNATURE_SCHEMES
from sphinx import (
    NextNodeHop,
    NodeDelay,
    PathHop,
    Recipient,
    RecipientId,
    RoutingCommand,
    Sphinx,
    SurbId,
    compose_plaintext,
)
from sphinx.commands import encode_commands
from sphinx.crypto.kem import kem_scheme
from sphinx.randomness import seeded
from tests.config.samples import client_toml, literal_toml
from tests.fuzz import gateway_targets, sphinx_targets, state_targets, wire_targets
from tests.fuzz.targets import C_TARGETS, CORPUS
from tests.pki.network import paper_network
from tests.support.vectors import recorded
from tests.transports.quic_pair import new_client

Seed = tuple[str, str, bytes]
"""Target, name of the input, input."""

NIKE = sphinx_targets.NIKE
RECIPIENT = Recipient(RecipientId(bytes(32)))


def sphinx_seeds() -> Iterator[Seed]:
    sphinx = Sphinx(NIKE)
    other = bytes(reversed(sphinx_targets.PRIVATE_KEY))
    public = sphinx.nike.public_key(other)
    path = [PathHop(sphinx_targets.NODE, public, (NodeDelay(1),)), PathHop(sphinx_targets.NODE, public, (RECIPIENT,))]
    new = sphinx.new_surb(path, seeded(b"seeds"))
    inside = compose_plaintext(NIKE, b"message", new.surb)
    # To another node: what the target's own key opens is the target "sphinx-routed".
    whole = sphinx.new_packet(path, inside, seeded(b"seeds"))
    yield "sphinx-packet", "genuine", whole
    yield "sphinx-packet", "header", whole[: NIKE.header_length]
    hop = NextNodeHop(sphinx_targets.NODE, bytes(32))
    fragments: dict[str, tuple[RoutingCommand, ...]] = {
        "forward": (NodeDelay(7), hop),
        "terminal": (NodeDelay(7), RECIPIENT),
        "reply": (RECIPIENT, sphinx_targets.SURB_ID),
        "twice": (sphinx_targets.SURB_ID, sphinx_targets.SURB_ID),
    }
    for name, commands in fragments.items():
        encoded = encode_commands(commands)
        yield "sphinx-commands", name, encoded
        yield "sphinx-commands", f"{name}-padded", encoded + bytes(9)
        yield "sphinx-routed", name, encoded.ljust(NIKE.routing_info_length, b"\0") + whole[NIKE.header_length :]
        yield "sphinx-routed", f"{name}-without-payload", encoded
    yield "sphinx-surb", "genuine", new.surb
    yield "sphinx-surb", "short", new.surb[:-1]
    yield "sphinx-reply", "noise", whole[NIKE.header_length :]
    yield "sphinx-reply", "with-keys", b"\0" + new.keys[:192] + whole[NIKE.header_length :]
    yield "sphinx-plaintext", "with-surb", inside
    yield "sphinx-plaintext", "without-surb", compose_plaintext(NIKE, b"message", None)
    yield "sphinx-geometry", "nike", json.dumps(NIKE.fields()).encode()
    yield "sphinx-geometry", "kem", json.dumps(sphinx_targets.KEM.fields()).encode()


def wire_seeds() -> Iterator[Seed]:
    codec = wire_targets.CODECS[0]
    packet = bytes(wire_targets.GEOMETRY.packet_length)
    payload = bytes(wire_targets.GEOMETRY.payload_tag_length + wire_targets.GEOMETRY.forward_payload_length)
    frames = b""
    sent: tuple[Command, ...] = (
        NoOp(),
        SendPacket(packet),
        MessageDelivered(7),
        Message(1, SurbId(bytes(16)), payload),
        GetConsensus2(5),
        GetConsensus(5),
        *consensus_commands(b"document", wire_targets.GEOMETRY),
    )
    for command in sent:
        encoded = codec.encode(command)
        yield "wire-commands", type(command).__name__, encoded
        frames += b"\1" + len(encoded).to_bytes(2) + encoded
    yield "wire-session", "all-commands", frames
    yield "wire-session", "then-noise", frames[:1000] + b"\0" * 40
    client, gateway = wire_targets.pair()
    first = client.start()
    yield "wire-handshake", "message-1", b"\0" + first
    gateway.receive(first, wire_targets.NOW)
    yield "wire-handshake", "message-2", b"\3" + gateway.outgoing()
    yield "wire-handshake", "message-2-changed", bytes([1 + 2 + 4 + 80, 0, 3, 0x80])
    yield "wire-handshake", "message-3-changed", bytes([2 + 4 + 80, 1, 0, 1])
    yield "wire-handshake", "message-3-intact", bytes([2 + 4 + 80])
    chunks = b""
    for chunk in consensus_commands(bytes(range(256)) * 20, wire_targets.GEOMETRY):
        head = chunk.chunk.to_bytes(4) + chunk.total.to_bytes(4) + len(chunk.data).to_bytes(2)
        chunks += bytes([chunk.error]) + head + chunk.data
    yield "wire-consensus", "whole", chunks
    yield "wire-consensus", "not-found", b"\1" + bytes(4) + b"\0\0\0\1" + bytes(2)
    for name in ("x25519", "x448", "XWING"):
        scheme = kem_scheme(name)
        key = scheme.generate(seeded(b"kem"))
        yield "wire-kem", f"{name}-key", key.public_key
        yield "wire-kem", f"{name}-ciphertext", scheme.encapsulate(key.public_key, seeded(b"peer"))[0]
    yield "wire-kem", "low-order", bytes(32)


def gateway_seeds() -> Iterator[Seed]:
    codec = wire_targets.CODECS[0]
    payload = bytes(wire_targets.GEOMETRY.payload_tag_length + wire_targets.GEOMETRY.forward_payload_length)
    message = codec.encode(Message(1, SurbId(bytes(16)), payload))

    def step(kind: int, data: bytes = b"", size: int = 0) -> bytes:
        return bytes([kind]) + (len(data) or size).to_bytes(2) + data

    heartbeat = step(gateway_targets.SEALED, codec.encode(NoOp()))
    said = step(gateway_targets.SEALED, message)
    some_time, much_time = step(gateway_targets.TIME, size=20), step(gateway_targets.TIME, size=200)
    document = b"".join(
        step(gateway_targets.SEALED, codec.encode(chunk))
        for chunk in consensus_commands(b"document" * 50, wire_targets.GEOMETRY)
    )
    write, ask = step(gateway_targets.WRITE), step(gateway_targets.ASK, size=5)
    yield (
        "gateway-link",
        "conversation",
        heartbeat + ask + said + some_time + document + write + said + write + heartbeat,
    )
    yield "gateway-link", "flood", step(gateway_targets.REPEATED, message) + much_time + heartbeat
    yield "gateway-link", "spurious-document", document
    yield "gateway-link", "raw", heartbeat + step(gateway_targets.RAW, bytes(40)) + heartbeat
    yield "gateway-link", "silence", ask + write + some_time + heartbeat + some_time + some_time + heartbeat + much_time


def document_seeds() -> Iterator[Seed]:
    network = paper_network(2)
    document = network.document
    yield "pki-certificate", "genuine", network.signed(document)
    yield "pki-certificate", "one-signature", network.signed(document, 1)
    yield "pki-document", "genuine", document.encode()
    yield "pki-signed-document", "genuine", document.encode()
    keys = {number << 40: b"x" * 32 for number in range(33)}
    strained = replace(document, topology=((replace(document.topology[0][0], mix_keys=keys),),))
    yield "pki-signed-document", "many-epochs", strained.encode()
    for number, scheme in enumerate(SIGNATURE_SCHEMES):
        name = scheme.name.replace(" ", "_")
        yield "pki-signature", f"{name}-genuine", bytes([number])
        yield "pki-signature", f"{name}-changed", bytes([number]) + (scheme.public_key_length + 40).to_bytes(3) + b"\1"
        yield "pki-signature", f"{name}-other-key", bytes([number]) + bytes(3) + b"\1"
    yield "pki-descriptor", "mix", document.topology[0][0].encode()
    yield "pki-descriptor", "service", document.service_nodes[0].encode()
    yield "pki-descriptor", "replica", document.storage_replicas[0].encode()
    authority = recorded("pki_documents.json")["authorities"][0]
    yield "pki-pem", "authority", authority["identity_pem"].encode()
    yield "pki-pem", "duration", b"1h2m3.5s"


def thin_seeds() -> Iterator[Seed]:
    seen: set[str] = set()
    for request in recorded("thin_transcripts.json")["requests"]:
        frame = bytes.fromhex(request["frame"])
        if request["verb"] not in seen and len(frame) < 600:
            seen.add(request["verb"])
            yield "thin-framing", request["verb"], frame
            yield "thin-request", request["verb"], frame[4:]
    yield "config-client", "generated", client_toml().encode()
    yield "config-client", "literal", literal_toml().encode()


def state_seeds() -> Iterator[Seed]:
    app_id, owner = AppId(b"A" * 16), {"owner": b"A" * 16}
    content = {"message_id": b"m" * 16, "destination": bytes(32), "recipient": bytes(32), "payload": b"p"}
    rows = {
        session_key(app_id): {"token": b"t" * 16, "is_legacy_v1": False},
        answer_key(app_id, 5): b"frame",
        content_key(1): content | {"kind": "reliable", "surb_id": None},
        progress_key(1): owner | {"state": "in flight", "expires_at": 1.8e9},
        content_key(2): content | {"kind": "plain", "surb_id": b"s" * 16},
        progress_key(2): owner | {"state": "waiting", "expires_at": None},
        content_key(3): content | {"kind": "reliable", "surb_id": None},
    }
    yield "state-rows", "all", cbor2.dumps(rows)
    writer = LogWriter(state_targets.KEY, seeded(b"seeds"))
    yield "state-file", "head", (data := writer.head())
    yield "state-file", "marked", (data := data + writer.record({b"a": 1}) + writer.mark())
    yield "state-file", "torn", (data + writer.record({b"a": None}))[:-5]


def transport_seeds() -> Iterator[Seed]:
    onion = "a" * 56
    urls = {
        "ipv4": "tcp://192.0.2.1:30004",
        "ipv6": "quic://[2001:db8::1]:30004/path",
        "name": "tcp4://gateway.example:1",
        "onion": f"onion://{onion}.onion:30004",
        "script": "tcp://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example:1",
        "empty-label": "tcp://a..b:1",
    }
    for name, url in urls.items():
        yield "transport-address", name, url.encode()
    granted = b"\5\0\0\1\x7f\0\0\1\x1f\x90"
    yield "transport-socks", "anonymous", b"\0\5\0" + granted
    yield "transport-socks", "credentials", b"\x0d\5\2\1\0\5\0\0\3\x04name\0\1"
    yield "transport-socks", "tor", b"\xff\5\2\1\0\5\xf0\0\1\0"
    yield "transport-socks", "not-socks", b"\0HTTP/1.1 400"
    first = new_client().datagrams(0.0)[0][0]
    yield "transport-quic", "client-hello", b"\1" + len(first).to_bytes(2) + first
    yield "transport-quic", "client-hello-changed", b"\5" + b"\0\0\1"
    yield "transport-quic", "client-hello-intact", b"\5"
    yield (
        "transport-quic",
        "negotiation",
        b"\0\0\x1d" + b"\x80\0\0\0\0\x08" + bytes(8) + b"\x08" + bytes(8) + b"\0\0\0\1",
    )
    yield "transport-quic", "short-header-client", b"\2\0\x20" + b"\x40" + bytes(31)
    yield "transport-quic", "short-header-server", b"\3\0\x20" + b"\x40" + bytes(31)
    frames = {
        "stream": b"\x0f\0\1\4data",
        "stream-far": b"\x0e\0\x80\7\xff\xf0\4data",
        "stream-beyond": b"\x0e\0\x80\xff\xff\xff\4data",
        "other-stream": b"\x0a\4\4data",
        "server-stream": b"\x0a\1\4data",
        "reset": b"\4\0\7\1",
        "stop": b"\5\0\7",
        "close": b"\x1d\0\0",
        "close-with-words": b"\x1c\1\6\5words",
        "new-id": b"\x18\x0a\0\x08" + bytes(range(24)),
        "retire-id": b"\x19\0",
        "challenge": b"\x1a" + bytes(8),
        "crypto": b"\6\0\4\0\0\0\0",
        "ack": b"\2\x0a\0\0\0",
        "limits": b"\x10\x3f\x11\0\x3f\x12\x3f\x13\x3f\x14\x3f\x15\0\x3f",
        "done": b"\x1e\1\1\1",
        "token": b"\7\4abcd",
    }
    for name, content in frames.items():
        yield "transport-quic-frames", f"{name}-to-client", b"\0" + len(content).to_bytes(2) + content
        yield "transport-quic-frames", f"{name}-to-server", b"\1" + len(content).to_bytes(2) + content


def c_seeds() -> Iterator[Seed]:
    """For the targets in C, with every branch of the ciphers in one of them."""
    aez, packet = C_TARGETS
    for length in (0, 1, 2, 15, 16, 31, 32, 33, 48, 63, 64, 80, 96, 256, 288, 300, 350):
        for enciphers in (0, 1):
            start = bytes([1 + 4 * enciphers, *range(64)])
            name = f"{length}-bytes-{'encipher' if enciphers else 'decipher'}"
            yield aez, name, start + (bytes(range(256)) * 2)[:length]
    yield aez, "three-layers", bytes([3 + 4 * 2, *range(192)]) + bytes(300)

    for hops in (1, 2, 20):
        yield packet, f"unwrap-{hops}", bytes([0, hops]) + bytes(range(250)) * (1 + hops // 2)
        shape = bytes([hops, 40, *range(64)])
        yield packet, f"build-{hops}", bytes([1, hops]) + shape + bytes([38] * hops) + bytes(range(1, 250)) * 10
        yield packet, f"build-short-{hops}", bytes([1, 20]) + shape + bytes([0] * hops) + bytes(range(1, 250)) * 10
    yield packet, "build-too-long", bytes([1, 2, 3, 0]) + bytes(300)
    yield packet, "reply", bytes([2, 3]) + bytes(range(250)) * 2
    yield packet, "multiply", bytes([3, 0, *range(64)])
    sphinx = Sphinx(NIKE)
    path = [PathHop(sphinx_targets.NODE, sphinx.nike.public_key(sphinx_targets.PRIVATE_KEY), (NodeDelay(1),))] * 2
    whole = sphinx.new_packet(path, bytes(NIKE.forward_payload_length), seeded(b"seeds"))
    yield packet, "unwrap-genuine", bytes([0, NIKE.nr_hops]) + sphinx_targets.PRIVATE_KEY + whole


def multiplication_seeds() -> Iterator[Seed]:
    """The points that are hard for X25519: RFC 7748 and the encodings at and above the prime."""
    prime = 2**255 - 19
    scalar = bytes(range(32))
    points = {"zero": 0, "one": 1, "base": 9, "minus-one": prime - 1, "prime": prime, "above": prime + 1, "twist": 2}
    for name, point in {**points, "all-ones": 2**256 - 1, "top-bit": 2**255 + 9}.items():
        yield "sphinx-x25519", name, scalar + point.to_bytes(32, "little")
    yield "sphinx-x25519", "zero-scalar", bytes(32) + (9).to_bytes(32, "little")
    yield "sphinx-x25519", "full-scalar", b"\xff" * 64


def loopix_seeds() -> Iterator[Seed]:
    provider = MixConfig("localhost:9997", "localhost", "9997", bytes(range(32)), PROVIDER_LAYER)
    recipient = ClientConfig("", "0.0.0.0", "42", bytes(range(1, 33)), provider)
    requests: dict[str, Request] = {
        "send": Send(b"hello", recipient),
        "fetch": Fetch(),
        "clients": GetClients(),
        "flush": Flush(),
    }
    for name, request in requests.items():
        body = encode_request(request)
        yield "loopix-request", name, body
        yield "loopix-json", name, encode_json_request(request).encode()
        for profile in PROFILES.values():
            yield "loopix-framing", f"{name}-{profile.framing}", encode_frame(profile, body)
    key = base64.urlsafe_b64encode(bytes(range(32))).decode()
    mix = {"host": "localhost:9980", "pubKey": key, "layer": 1, "lastSeen": 1}
    node = {"host": "localhost:9997", "pubKey": key, "registeredClients": [{"pubKey": key}], "lastSeen": 1}
    yield "loopix-topology", "old", json.dumps({"MixNodes": [mix], "MixProviderNodes": [node]}).encode()
    yield "loopix-topology", "new", json.dumps({"mixNodes": [], "mixProviderNodes": None}).encode()
    for number, case in enumerate(recorded("loopix_sphinx.json")[:2]):
        packet = bytes.fromhex(case["General"])
        yield "loopix-packet", f"recorded-{number}", packet
        stored = general(COMM, bytes.fromhex(case["Hops"][-1]["Out"]))
        yield (
            "loopix-pulled",
            f"recorded-{number}",
            pb.ProviderResponse(NumberOfPackets=1, Packets=[stored]).SerializeToString(),
        )
    head = b"Host: localhost:9001\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    start = b"GET /mix HTTP/1.1\r\n"
    key_line = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    yield "loopix-upgrade", "good", start + head + key_line + b"\r\n"
    yield "loopix-upgrade", "foreign", start + head + key_line + b"Origin: https://elsewhere.example\r\n\r\n"
    yield "loopix-upgrade", "root", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def pigeonhole_seeds() -> Iterator[Seed]:
    genuine = recorded("pigeonhole_genuine.json")
    written, read = genuine["daemon_write"], genuine["daemon_read"]
    exchanges = {exchange["name"]: exchange for exchange in genuine["exchanges"]}
    voucher = genuine["daemon_voucher"]
    inputs = {
        ("query", "write"): written["message_ciphertext"],
        ("query", "copy"): genuine["copy"]["success"]["query"],
        ("query-reply", "ack"): exchanges["write"]["replies"][0]["wire"],
        ("query-reply", "payload"): exchanges["write"]["replies"][1]["wire"],
        ("query-reply", "conflict"): genuine["copy"]["conflict"]["final_reply"],
        ("replica-request", "write"): written["parts"]["inner"],
        ("replica-request", "read"): read["parts"]["inner"],
        ("replica-reply", "written"): exchanges["write"]["replies"][1]["plain"],
        ("replica-reply", "tombstone"): exchanges["read tombstone"]["replies"][1]["plain"],
        ("padding", "read"): read["parts"]["inner_padded"],
        ("copy-stream", "two-envelopes"): "".join(genuine["daemon_copy_stream"]["elements"]),
        ("element", "last"): genuine["daemon_copy_stream"]["elements"][-1],
        ("box", "written"): written["box_id"] + "00000621" + written["box_ciphertext"] + written["box_signature"],
        ("descriptor", "write"): written["envelope_descriptor"],
        ("ciphertext", "sealed-reply"): voucher["sealed_reply"],
        ("capability", "read"): written["read_cap"] + written["message_box_index"],
        ("capability", "write"): written["write_cap"] + written["message_box_index"],
        ("voucher", "payload"): voucher["voucher_payload"],
        ("voucher", "sealed-reply"): voucher["sealed_reply"],
    }
    for (target, name), data in inputs.items():
        yield f"pigeonhole-{target}", name, bytes.fromhex(data)
    empty = CourierEnvelope(b"\0\1", (bytes(60), bytes(60)), 480, b"", b"")
    yield "pigeonhole-query", "empty", encode_query(empty)
    tombstone = ReplicaReadReply(11, bytes(32), bytes(64), b"")
    yield "pigeonhole-replica-reply", "padded", pad(encode_reply(tombstone), 200)
    numbers = cbor2.dumps({"Epoch": 480, "ReplicaNums": [3, 7], "EnvelopeKey": bytes(4)})
    yield "pigeonhole-descriptor", "array", numbers
    yield "pigeonhole-voucher", "answer", cbor2.dumps({"WhoReply": b"who", "VoucherSalt": bytes(32)})


def main() -> None:
    groups = (
        sphinx_seeds(),
        multiplication_seeds(),
        wire_seeds(),
        gateway_seeds(),
        document_seeds(),
        thin_seeds(),
        state_seeds(),
        transport_seeds(),
        c_seeds(),
        loopix_seeds(),
        pigeonhole_seeds(),
    )
    for target, name, data in chain.from_iterable(groups):
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
