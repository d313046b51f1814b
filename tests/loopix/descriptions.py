"""Hypothesis strategies for nodes and clients, and topologies as the directory writes them."""

import json
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from kpclientd.loopix.nodes import MAX_LAYER, ClientConfig, MixConfig, key_text
from sphinx.crypto.nike import nike_scheme

X25519 = nike_scheme("x25519")

texts = st.text(st.characters(codec="utf-8"), max_size=60)
keys = st.binary(min_size=32, max_size=32).filter(any)
mixes = st.builds(MixConfig, texts, texts, texts, st.binary(max_size=40), st.integers(0, MAX_LAYER))
clients = st.builds(ClientConfig, texts, texts, texts, st.binary(max_size=40), st.none() | mixes)


def key(number: int) -> bytes:
    """A public key of its own for each number."""
    return X25519.public_key(private_key(number))


def private_key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def topology_json(
    mixes_per_layer: int = 2, spell: Callable[[str], str] = str, extra_mixes: Sequence[object] = ()
) -> bytes:
    """Three layers of mixes (keys 1 on), two providers (keys 101 and 102) with one client (201, 202) each."""
    mix_nodes = [
        {"host": f"10.0.0.{number}:1789", "pubKey": key_text(key(number)), "layer": (number - 1) % 3 + 1, "lastSeen": 1}
        for number in range(1, 3 * mixes_per_layer + 1)
    ]
    providers = [
        {
            "host": f"localhost:{9900 + number}",
            "pubKey": key_text(key(100 + number)),
            "registeredClients": [{"pubKey": key_text(key(200 + number))}],
            "lastSeen": 1,
        }
        for number in (1, 2)
    ]
    fields = {"CocoNodes": None, "MixNodes": [*mix_nodes, *extra_mixes], "MixProviderNodes": providers}
    return json.dumps(_respelt(fields, spell)).encode()


def _respelt(value: object, spell: Callable[[str], str]) -> object:
    if isinstance(value, dict):
        return {spell(name): _respelt(inner, spell) for name, inner in value.items()}
    if isinstance(value, list):
        return [_respelt(inner, spell) for inner in value]
    return value
