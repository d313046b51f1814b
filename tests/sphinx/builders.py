"""What tests of packets share: scripted randomness, and paths from recorded data."""

from collections.abc import Sequence
from typing import Any

from sphinx.commands import RoutingCommand, decode_commands, encode_commands
from sphinx.path import PathHop
from sphinx.randomness import Randomness
from sphinx.types import NodeId


def scripted(*draws: bytes) -> Randomness:
    """A `Randomness` that hands out these draws in order, and insists on their lengths; empty draws are free."""
    waiting = [draw for draw in draws if draw]

    def source(length: int) -> bytes:
        if length == 0:
            return b""
        draw = waiting.pop(0)
        assert len(draw) == length, f"{length} bytes were drawn where {len(draw)} are scripted"
        return draw

    return Randomness(source)


def hop(node: dict[str, Any], commands: Sequence[RoutingCommand]) -> PathHop:
    """A hop from a recorded node."""
    return PathHop(NodeId(bytes.fromhex(node["id"])), bytes.fromhex(node["public_key"]), tuple(commands))


def parsed(commands: Sequence[str]) -> tuple[RoutingCommand, ...]:
    """Recorded commands, each as hex."""
    return decode_commands(bytes.fromhex("".join(commands)))


def as_hex(commands: Sequence[RoutingCommand]) -> list[str]:
    """Commands as they are recorded."""
    return [encode_commands([command]).hex() for command in commands]


def flipped(data: bytes, bit: int) -> bytes:
    """`data` with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)
