"""What a client pays for a document: verifying its signatures, reading it, checking every rule."""

import json
from dataclasses import replace
from pathlib import Path

import cbor2

from benchmarks.timing import Row, median_seconds
from pki.certificate import Certificate, Verifier, threshold
from pki.document import Document
from pki.epoch import EpochClock
from pki.signatures import signature_scheme
from pki.trust import TrustedDocuments
from pki.wellformed import check_well_formed
from sphinx.geometry import Geometry

RECORDING = Path(__file__).parent.parent / "tests" / "vectors" / "pki_documents.json"
REPEATS = 50
LARGE = (900, 3000)
LARGE_REPEATS = 7
LAYERS = 3


def rows() -> list[Row]:
    """Name, median seconds, and the floor: the time of the primitives alone."""
    recording = json.loads(RECORDING.read_text())
    scheme = signature_scheme(recording["documents"][0]["facts"]["KeyType"])
    verifiers = tuple(
        Verifier(authority["name"], scheme, bytes.fromhex(authority["identity_public"]))
        for authority in recording["authorities"]
    )
    blob = bytes.fromhex(recording["documents"][0]["certificate"])
    epoch = recording["documents"][0]["epoch"]
    clock = EpochClock(recording["epoch_period_seconds"])
    now = clock.start(epoch)
    trusted = TrustedDocuments(clock, verifiers, Geometry.from_fields(recording["sphinx_geometry"]))
    certificate = Certificate.parse(blob)
    document = Document.parse(certificate.certified)
    message = certificate.signed_message()
    needed = verifiers[: threshold(len(verifiers))]
    descriptors = [node.encode() for node in document.mix_descriptors()]

    def signatures_alone() -> None:
        for verifier in needed:
            verifier.scheme.verify(verifier.public_key, message, certificate.signatures[verifier.key_hash])

    def decoding_alone() -> None:
        for encoded in (blob, certificate.certified, *descriptors):
            cbor2.loads(encoded)

    signatures, decoding = median_seconds(signatures_alone, REPEATS), median_seconds(decoding_alone, REPEATS)
    size = f"{len(blob)} bytes, {len(descriptors)} nodes, {len(needed)} {scheme.name} signatures"
    return [
        (
            f"document verified and parsed ({size})",
            median_seconds(lambda: trusted.verify(blob, epoch, now), REPEATS),
            signatures + decoding,
        ),
        ("document parsed", median_seconds(lambda: Document.parse(certificate.certified), REPEATS), decoding),
        ("document encoded", median_seconds(document.encode, REPEATS), None),
        *(_large(document, nodes) for nodes in LARGE),
    ]


def _large(small: Document, nodes: int) -> Row:
    """A document of very many nodes, read and checked; the floor is CBOR's."""
    node = small.topology[0][0]
    listed = tuple(replace(node, name=f"mix{n}", identity_key=n.to_bytes(32)) for n in range(nodes))
    layers = tuple(listed[layer::LAYERS] for layer in range(LAYERS))
    document = replace(small, topology=layers)
    certified, descriptors = document.encode(), [node.encode() for node in listed]

    def read() -> None:
        check_well_formed(Document.parse(certified), document.epoch)

    def decoding_alone() -> None:
        cbor2.loads(certified)
        for encoded in descriptors:
            cbor2.loads(encoded)

    seconds, floor = median_seconds(read, LARGE_REPEATS), median_seconds(decoding_alone, LARGE_REPEATS)
    return f"document of {nodes} nodes ({len(certified)} bytes) parsed and checked", seconds, floor
