"""Faulty answers to document requests: one for each way in which a gateway or its authorities could deceive.

Whatever the fault does not concern is genuine: a document with the wrong geometry is well signed, and a stream with
its chunks out of order carries a document that is good.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import cbor2

from kpclientd.localnet.authority import Authorities
from kpclientd.localnet.faults import DocumentFault
from kpclientd.wire.commands import DOCUMENT_LIMIT, Consensus2
from kpclientd.wire.consensus import consensus_commands, gone, not_found
from pki.certificate import LIFETIME, Certificate, key_hash, threshold
from pki.descriptor import MixDescriptor
from pki.document import Document
from sphinx.geometry import Geometry
from sphinx.randomness import seeded

Answer: TypeAlias = Sequence[Consensus2]

FAR_FUTURE: Final = 1000
"""Epochs by which a document is ahead of the one that was asked for."""

BOMB_LENGTH: Final = DOCUMENT_LIMIT + 1
"""Inflated bytes: more than a client may take, from fifty kilobytes on the wire."""

OTHER_KEY_TYPES: Final = ("Ed448", "Ed25519")
"""The first that is not the network's own."""

OTHER_VERSION: Final = 1
GARBAGE: Final = b"no certificate at all"


class FaultyDocuments:
    """Makes the faulty answers.

    Args:
        authorities: make the genuine documents, and sign the wrong ones.
        geometry: sets the size of the chunks.
    """

    def __init__(self, authorities: Authorities, geometry: Geometry) -> None:
        self._authorities = authorities
        self._geometry = geometry
        certificates: Mapping[DocumentFault, Callable[[int, int], bytes]] = {
            DocumentFault.TOO_FEW_SIGNATURES: lambda epoch, _: self._signed_by(epoch, threshold(self._signers) - 1),
            DocumentFault.NO_SIGNATURES: lambda epoch, _: self._signed_by(epoch, 0),
            DocumentFault.REPEATED_SIGNER: lambda epoch, _: self._repeated_signer(epoch),
            DocumentFault.UNLISTED_SIGNER: lambda epoch, _: self._unlisted_signer(epoch),
            DocumentFault.WRONG: lambda epoch, _: self._altered(epoch),
            DocumentFault.KEY_TYPE: lambda epoch, _: self._other_key_type(epoch),
            DocumentFault.VERSION: lambda epoch, _: self._other_version(epoch),
            DocumentFault.EXPIRED: lambda epoch, present: self._resigned(epoch, lambda same: same, present),
            DocumentFault.FUTURE: lambda epoch, _: self._genuine(epoch + FAR_FUTURE).encode(),
            DocumentFault.PAST: lambda epoch, _: self._genuine(epoch - 1).encode(),
            DocumentFault.BAD_GEOMETRY: lambda epoch, _: self._resigned(epoch, _with_other_geometry),
            DocumentFault.NO_GATEWAYS: lambda epoch, _: self._resigned(epoch, _without_gateways),
            DocumentFault.NO_MIX_KEYS: lambda epoch, _: self._resigned(epoch, _without_mix_keys),
            DocumentFault.GARBAGE: lambda _, __: GARBAGE,
            DocumentFault.GZIP_BOMB: lambda _, __: bytes(BOMB_LENGTH),
        }
        self._certificates = certificates

    def answer(self, fault: DocumentFault, epoch: int, present: int) -> Answer:
        """Return what is sent instead of the document of `epoch`, in the epoch `present`."""
        if fault is DocumentFault.SILENCE:
            return ()
        if fault is DocumentFault.NOT_FOUND:
            return (not_found(),)
        if fault is DocumentFault.GONE:
            return (gone(),)
        if fault in self._certificates:
            return consensus_commands(self._certificates[fault](epoch, present), self._geometry)
        genuine = list(consensus_commands(self._genuine(epoch).encode(), self._geometry))
        return _STREAM_FAULTS[fault](genuine)

    @property
    def _signers(self) -> int:
        return len(self._authorities.verifiers)

    def _genuine(self, epoch: int) -> Certificate:
        return self._authorities.certificate(epoch)

    def _resigned(self, epoch: int, change: Callable[[Document], Document], expiration: int | None = None) -> bytes:
        document = change(self._authorities.document(epoch))
        return self._authorities.sign(document, epoch + LIFETIME if expiration is None else expiration).encode()

    def _signed_by(self, epoch: int, signers: int) -> bytes:
        certificate = self._genuine(epoch)
        return replace(certificate, signatures=dict(list(certificate.signatures.items())[:signers])).encode()

    def _altered(self, epoch: int) -> bytes:
        certificate = self._genuine(epoch)
        certified = bytearray(certificate.certified)
        certified[-1] ^= 1  # the last byte of the geometry's hash, or of a shared random: it still decodes
        return replace(certificate, certified=bytes(certified)).encode()

    def _unlisted_signer(self, epoch: int) -> bytes:
        certificate = self._genuine(epoch)
        scheme = self._authorities.verifiers[0].scheme
        stranger = scheme.generate(seeded(b"a stranger to every configuration"))
        kept = dict(list(certificate.signatures.items())[: threshold(self._signers) - 1])
        signature = stranger.sign(certificate.signed_message())
        return replace(certificate, signatures={**kept, key_hash(stranger.public_key): signature}).encode()

    def _repeated_signer(self, epoch: int) -> bytes:
        def repeat(fields: dict[str, Any]) -> None:
            (signer, signature), *_ = fields["Signatures"].items()
            fields["Signatures"] = {
                bytes([place]) + signer[1:]: dict(signature) for place in range(threshold(self._signers))
            }

        return self._edited(epoch, repeat)

    def _other_key_type(self, epoch: int) -> bytes:
        certificate = self._genuine(epoch)
        other = next(name for name in OTHER_KEY_TYPES if name != certificate.key_type)
        return replace(certificate, key_type=other).encode()

    def _other_version(self, epoch: int) -> bytes:
        return self._edited(epoch, lambda fields: fields.update(Version=OTHER_VERSION))

    def _edited(self, epoch: int, edit: Callable[[dict[str, Any]], None]) -> bytes:
        """What `Certificate` itself refuses to express."""
        fields = cbor2.loads(self._genuine(epoch).encode())
        edit(fields)
        return cbor2.dumps(fields, canonical=True)


def _with_other_geometry(document: Document) -> Document:
    return replace(document, sphinx_geometry_hash=document.shared_random_value)


def _without_gateways(document: Document) -> Document:
    return replace(document, gateway_nodes=())


def _without_mix_keys(document: Document) -> Document:
    def strip(node: MixDescriptor) -> MixDescriptor:
        later = {epoch: key for epoch, key in node.mix_keys.items() if epoch != document.epoch}
        return replace(node, mix_keys=later)

    return replace(document, topology=tuple(tuple(map(strip, layer)) for layer in document.topology))


def _truncate(chunks: list[Consensus2]) -> Answer:
    *whole, last = chunks
    return [*whole, replace(last, data=last.data[: len(last.data) // 2])]


def _reorder(chunks: list[Consensus2]) -> Answer:
    return [replace(chunks[0], chunk=1), *chunks[1:]] if len(chunks) == 1 else [chunks[1], chunks[0], *chunks[2:]]


def _change_total(chunks: list[Consensus2]) -> Answer:
    *whole, last = chunks
    return [*whole, replace(last, total=last.total + 1)] if whole else [replace(last, total=0)]


_STREAM_FAULTS: Final[Mapping[DocumentFault, Callable[[list[Consensus2]], Answer]]] = {
    DocumentFault.TRUNCATED_GZIP: _truncate,
    DocumentFault.CHUNKS_OUT_OF_ORDER: _reorder,
    DocumentFault.CHUNK_TOTAL_CHANGES: _change_total,
    DocumentFault.DUPLICATE: lambda chunks: [*chunks, *chunks],
}
