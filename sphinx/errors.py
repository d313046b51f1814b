"""What can go wrong with packets and keys, grouped by what the caller can do about it."""


class MixnetError(Exception):
    """Root of every error that this project raises on purpose; its text is written for whoever has to act.

    It stands here because this is the lowest layer: all others can see it.
    """


class SphinxError(MixnetError):
    """Root of this package's errors."""


class GeometryError(SphinxError):
    """The packet geometry contradicts itself or names an unknown scheme: the configuration must change."""


class UnsupportedSchemeError(SphinxError):
    """No scheme of that name is implemented here, whether or not one is registered upstream."""


class KeyLengthError(SphinxError):
    """A key, ciphertext or nonce has not the one length its scheme allows."""


class PrivateKeyError(SphinxError):
    """A private key of the right length is none of its scheme's: a number out of range, halves of different keys."""


class WeakPublicKeyError(SphinxError):
    """A public key leads to a secret that anyone knows, or is none of its group's: its owner can not be talked to."""


class KemError(SphinxError):
    """A KEM's public key or ciphertext is none of its scheme's: a coefficient out of range, a low-order point."""


class CommandError(SphinxError):
    """Per-hop routing commands do not parse, or do not fit their place."""


class PathError(SphinxError):
    """A path has no hop, more hops than the geometry allows, or a node id of another length than all have."""


class PayloadLengthError(SphinxError):
    """A payload handed in is longer than the geometry allows, or not of the one length that it prescribes."""


class SurbError(SphinxError):
    """A single-use reply block or its keys are malformed."""


class PlaintextError(SphinxError):
    """The plaintext of a request to a service is malformed: drop the packet."""


class PacketError(SphinxError):
    """A packet can not be unwrapped with this key: drop it, or try the next key.

    Attributes:
        replay_tag: the packet's replay tag (32 bytes) if unwrapping came far enough to know it.
    """

    def __init__(self, message: str, replay_tag: bytes | None = None) -> None:
        super().__init__(message)
        self.replay_tag = replay_tag


class PayloadTagError(PacketError):
    """The decrypted payload does not begin with 32 zero bytes: altered on its way, or other keys made it."""


class EngineUnavailableError(SphinxError):
    """The engine asked for was not built, or this processor can not run it."""
