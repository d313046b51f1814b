"""Every fuzz target by name: each takes any bytes and fails by an exception that nobody promised."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from tests.fuzz import (
    document_targets,
    gateway_targets,
    loopix_targets,
    pigeonhole_targets,
    sphinx_targets,
    state_targets,
    thin_targets,
    transport_targets,
    wire_targets,
)

Target: TypeAlias = Callable[[bytes], None]

CORPUS = Path(__file__).parent / "corpus"
C_TARGETS = ("c-aez", "c-packet")
"""fuzz_aez.c and fuzz_packet.c, for libFuzzer; they have a corpus, and no function here."""

TARGETS: Mapping[str, Target] = {
    "sphinx-packet": sphinx_targets.packet,
    "sphinx-routed": sphinx_targets.routed,
    "sphinx-commands": sphinx_targets.commands,
    "sphinx-surb": sphinx_targets.surb,
    "sphinx-reply": sphinx_targets.reply,
    "sphinx-plaintext": sphinx_targets.plaintext,
    "sphinx-geometry": sphinx_targets.geometry,
    "sphinx-x25519": sphinx_targets.multiplication,
    "wire-commands": wire_targets.commands,
    "wire-handshake": wire_targets.handshake,
    "wire-session": wire_targets.session,
    "wire-consensus": wire_targets.consensus,
    "wire-kem": wire_targets.kem,
    "gateway-link": gateway_targets.link,
    "pki-certificate": document_targets.certificate,
    "pki-signature": document_targets.signature,
    "pki-signed-document": document_targets.signed_document,
    "pki-document": document_targets.document,
    "pki-descriptor": document_targets.descriptor,
    "pki-pem": document_targets.pem,
    "pigeonhole-query": pigeonhole_targets.query,
    "pigeonhole-query-reply": pigeonhole_targets.query_reply,
    "pigeonhole-replica-request": pigeonhole_targets.replica_request,
    "pigeonhole-replica-reply": pigeonhole_targets.replica_reply,
    "pigeonhole-box": pigeonhole_targets.box,
    "pigeonhole-element": pigeonhole_targets.element,
    "pigeonhole-padding": pigeonhole_targets.padding,
    "pigeonhole-copy-stream": pigeonhole_targets.copy_stream,
    "pigeonhole-descriptor": pigeonhole_targets.descriptor,
    "pigeonhole-ciphertext": pigeonhole_targets.ciphertext,
    "pigeonhole-capability": pigeonhole_targets.capability,
    "pigeonhole-voucher": pigeonhole_targets.voucher,
    "transport-address": transport_targets.address,
    "transport-socks": transport_targets.socks,
    "transport-quic": transport_targets.quic,
    "transport-quic-frames": transport_targets.quic_frames,
    "thin-framing": thin_targets.framing,
    "thin-request": thin_targets.request,
    "config-client": thin_targets.config,
    "state-file": state_targets.file,
    "state-rows": state_targets.rows,
    "loopix-framing": loopix_targets.framing,
    "loopix-request": loopix_targets.request,
    "loopix-json": loopix_targets.json_request,
    "loopix-topology": loopix_targets.topology,
    "loopix-pulled": loopix_targets.pulled,
    "loopix-packet": loopix_targets.packet,
    "loopix-upgrade": loopix_targets.upgrade,
}


def corpus_of(name: str) -> list[Path]:
    """The kept inputs of a target, in a fixed order."""
    return sorted((CORPUS / name).glob("*"))
