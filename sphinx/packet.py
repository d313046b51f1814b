"""Packets of one network: all that its clients, nodes and services do with them, behind one name."""

from collections.abc import Iterable, Sequence

from sphinx.agreement import Agreement, KemAgreement, NikeAgreement, PrivateKey
from sphinx.compiled import CompiledX25519
from sphinx.crypto.kem import kem_scheme
from sphinx.crypto.nike import X25519, Nike, nike_scheme
from sphinx.errors import PayloadLengthError, UnsupportedSchemeError
from sphinx.geometry import PAYLOAD_TAG_LENGTH, Geometry
from sphinx.header import build_header
from sphinx.native import Engine
from sphinx.native import engine as engine_called
from sphinx.path import PathHop
from sphinx.randomness import Randomness
from sphinx.surb import NewSurb, new_surb, open_reply, packet_from_surb
from sphinx.types import NodeId
from sphinx.unwrap import Unwrapped, unwrap


class Sphinx:
    """Makes and opens the packets of one geometry. Threads may share it.

    Args:
        geometry: of the network.
        engine: forces a payload engine: "aes-ni", "portable" or "python"; by default the fastest there is.

    Raises:
        UnsupportedSchemeError: if the geometry's scheme is not implemented.
        EngineUnavailableError: if there is no such engine here.
    """

    __slots__ = ("_agreement", "_compiled", "_engine", "geometry")

    geometry: Geometry

    def __init__(self, geometry: Geometry, *, engine: str | None = None) -> None:
        self.geometry = geometry
        self._agreement: Agreement = (
            KemAgreement(kem_scheme(geometry.kem_name))
            if geometry.kem_name
            else NikeAgreement(nike_scheme(geometry.nike_name))
        )
        self._engine: Engine = engine_called(engine)
        self._compiled = _compiled(geometry, self._agreement, self._engine)

    @property
    def nike(self) -> Nike:
        """The scheme of NIKE Sphinx.

        Raises:
            UnsupportedSchemeError: if the geometry is of KEM Sphinx.
        """
        if not isinstance(self._agreement, NikeAgreement):
            raise UnsupportedSchemeError(f"a geometry with the KEM {self.geometry.kem_name} has no NIKE")
        return self._agreement.nike

    @property
    def public_key_length(self) -> int:
        """Bytes of a node's mix key, in either form of Sphinx."""
        return self._agreement.public_key_length

    def new_key_pair(self, randomness: Randomness) -> tuple[PrivateKey, bytes]:
        """Make a node's mix key: what `unwrap` takes, and the public key to publish (public_key_length bytes)."""
        return self._agreement.new_key_pair(randomness)

    @property
    def is_compiled(self) -> bool:
        """Whether the engine in C makes these packets, each in a fraction of a millisecond."""
        return self._compiled is not None

    def keep_tables(self, public_keys: Iterable[bytes]) -> None:
        """Say which nodes' mix keys are in use, to make packets faster; it changes no packet and no verdict.

        It takes some 120 µs for each key that was not in use before, and is for a worker thread where there are many.
        See `sphinx.key_tables`.

        Args:
            public_keys: public_key_length bytes each, the most wanted first; there is room for a hundred or so.
        """
        if self._compiled is not None:
            self._compiled.tables.keep(public_keys)

    def new_packet(self, path: Sequence[PathHop], payload: bytes, randomness: Randomness) -> bytes:
        """Wrap a payload for the hops of a path.

        Args:
            path: 1 to nr_hops hops.
            payload: forward_payload_length bytes, as `sphinx.plaintext.compose_plaintext` makes them.
            randomness: for the ephemeral keys and the filler.

        Returns:
            packet_length bytes.

        Raises:
            PayloadLengthError: if the payload has a wrong length.
            PathError: if the path is empty or too long, or a node id has a wrong length.
            CommandError: if a hop's commands do not fit, or hold a `NextNodeHop`.
            KeyLengthError: if a hop's public key has a wrong length.
            WeakPublicKeyError: if a hop's public key is degenerate.
            KemError: if a hop's public key is none of its KEM's.
        """
        expected = self.geometry.forward_payload_length
        if len(payload) != expected:
            raise PayloadLengthError(f"a payload has {len(payload)} bytes, expected {expected}")
        if self._compiled is not None:
            return self._compiled.new_packet(path, payload, randomness)
        header = build_header(self.geometry, self._agreement, path, randomness)
        layers = b"".join(reversed(header.payload_keys))
        return header.encoded + self._engine.encipher(layers, bytes(PAYLOAD_TAG_LENGTH) + payload)

    def unwrap(self, private_key: PrivateKey, packet: bytes) -> Unwrapped:
        """Take one layer off a packet; see `sphinx.unwrap.unwrap`."""
        if self._compiled is not None and isinstance(private_key, bytes):
            return self._compiled.unwrap(private_key, packet)
        return unwrap(self.geometry, self._agreement, self._engine, private_key, packet)

    def new_surb(self, path: Sequence[PathHop], randomness: Randomness) -> NewSurb:
        """Create a SURB whose answer takes `path`; see `sphinx.surb.new_surb`."""
        if self._compiled is not None:
            return self._compiled.new_surb(path, randomness)
        return new_surb(self.geometry, self._agreement, path, randomness)

    def packet_from_surb(self, surb: bytes, answer: bytes) -> tuple[bytes, NodeId]:
        """Return the packet that carries `answer` and its first hop; see `sphinx.surb.packet_from_surb`."""
        return packet_from_surb(self.geometry, self._engine, surb, answer)

    def open_reply(self, keys: bytes, payload: bytes) -> bytes:
        """Open the answer to a SURB; see `sphinx.surb.open_reply`."""
        return open_reply(self.geometry, self._engine, keys, payload)


def _compiled(geometry: Geometry, agreement: Agreement, engine: Engine) -> CompiledX25519 | None:
    """The compiled form, where there is one."""
    if not isinstance(agreement, NikeAgreement) or not isinstance(agreement.nike, X25519):
        return None
    if engine.library is None or geometry.nr_hops > engine.library.most_hops:
        return None
    return CompiledX25519(geometry, agreement.nike, engine.library)
