"""The network as the directory describes it, read with the tolerance that its two generations and its strangers need.

Source: the Nym 2019 Loopix client, "start sequence and topology" and "directory HTTP API".
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kpclientd.loopix.errors import LoopixError, NoPath, TopologyError
from kpclientd.loopix.nodes import (
    KEY_LENGTH,
    MAX_LAYER,
    PROVIDER_LAYER,
    UNUSED_HOST,
    UNUSED_PORT,
    ClientConfig,
    MixConfig,
    key_text,
    parse_key,
    split_host,
)
from sphinx.randomness import Randomness

MAX_TOPOLOGY: Final = 16 * 1024 * 1024
"""Longest topology to read (bytes)."""

MIX_LAYERS: Final = (1, 2, 3)

_ANEW: Final = "; others are: if it has other keys now, init --force makes the client anew"


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider and the clients registered there."""

    node: MixConfig
    clients: tuple[ClientConfig, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """The network at one moment.

    Attributes:
        layers: the mixes of each layer that has any.
        providers: all of them.
        clients: of all providers.
    """

    layers: Mapping[int, tuple[MixConfig, ...]]
    providers: tuple[Provider, ...]
    clients: tuple[ClientConfig, ...]

    @classmethod
    def parse(cls, data: bytes) -> "Topology":
        """Read what the directory answered; names match in any case, and entries that cannot be used are left out.

        Raises:
            TopologyError: if it is too long, not a JSON object, or has something else where a list of nodes belongs.
        """
        fields = _folded(_json(data))
        layers: dict[int, list[MixConfig]] = {}
        for entry in _entries(fields, "mixnodes"):
            mix = _mix(entry)
            if mix is not None:
                layers.setdefault(mix.layer, []).append(mix)
        found = (_provider(entry) for entry in _entries(fields, "mixprovidernodes"))
        providers = tuple(provider for provider in found if provider is not None)
        return cls(
            MappingProxyType({layer: tuple(mixes) for layer, mixes in layers.items()}),
            providers,
            tuple(client for provider in providers for client in provider.clients),
        )

    def provider(self, provider_id: str) -> Provider:
        """Return the provider whose key is `provider_id` (base64url).

        Raises:
            TopologyError: if there is none.
        """
        for provider in self.providers:
            if key_text(provider.node.public_key) == provider_id:
                return provider
        fault = f"specified provider does not seem to be online: {provider_id}"
        raise TopologyError(f"{fault}{_ANEW}" if self.providers else fault)

    def path(self, own_provider: MixConfig, recipient: ClientConfig, randomness: Randomness) -> tuple[MixConfig, ...]:
        """Draw the five nodes of a packet's way to `recipient`.

        Raises:
            NoPath: if a layer has no mix, or the recipient's provider is missing or has no valid key.
        """
        if len(self.layers) < len(MIX_LAYERS):
            raise NoPath("insufficient number of mixes provided")
        for layer in MIX_LAYERS:
            if not self.layers.get(layer):
                raise NoPath(f"no valid mixes for layer: {layer}")
        if recipient.provider is None or len(recipient.provider.public_key) != KEY_LENGTH:
            raise NoPath(
                "error in buildPath - could not create path to the recipient, "
                "the EgressProvider has invalid configuration"
            )
        mixes = (randomness.choice(self.layers[layer]) for layer in MIX_LAYERS)
        return own_provider, *mixes, recipient.provider


def _json(data: bytes) -> Mapping[str, object]:
    if len(data) > MAX_TOPOLOGY:
        raise TopologyError(f"a topology of {len(data)} bytes; at most {MAX_TOPOLOGY} are read")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TopologyError(f"a topology of {len(data)} bytes is not JSON: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise TopologyError(f"a topology is a JSON {type(value).__name__}, expected an object")
    return value


def _folded(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields by their names in small letters; the later of two spellings counts, as in Go."""
    return {name.lower(): value for name, value in fields.items()}


def _entries(fields: Mapping[str, object], name: str) -> Iterator[Mapping[str, object]]:
    entries = fields.get(name)
    if entries is None:
        return
    if not isinstance(entries, list):
        raise TopologyError(f"{name} of a topology is a JSON {type(entries).__name__}, expected a list")
    for entry in entries:
        if isinstance(entry, dict):
            yield _folded(entry)


def _mix(entry: Mapping[str, object]) -> MixConfig | None:
    layer = entry.get("layer")
    if type(layer) is not int or not 0 <= layer <= MAX_LAYER:
        return None
    node = _node(entry)
    return None if node is None else MixConfig(key_text(node.public_key), node.host, node.port, node.public_key, layer)


def _provider(entry: Mapping[str, object]) -> Provider | None:
    node = _node(entry)
    if node is None:
        return None
    try:
        keys = [_key(client) for client in _entries(entry, "registeredclients")]
    except TopologyError:
        keys = []
    clients = (ClientConfig(key_text(key), UNUSED_HOST, UNUSED_PORT, key, node) for key in keys if key is not None)
    return Provider(node, tuple(clients))


def _node(entry: Mapping[str, object]) -> MixConfig | None:
    """A node as providers are described, or None where key or address cannot be used."""
    key = _key(entry)
    host = entry.get("host")
    if key is None or not isinstance(host, str):
        return None
    try:
        name, port = split_host(host)
    except LoopixError:
        return None
    return MixConfig(host, name, port, key, PROVIDER_LAYER)


def _key(entry: Mapping[str, object]) -> bytes | None:
    text = entry.get("pubkey")
    if not isinstance(text, str):
        return None
    try:
        return parse_key(text)
    except LoopixError:
        return None
