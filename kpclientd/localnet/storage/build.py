"""Makes the storage of a network, from the keys that all of it grows from."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from kpclientd.localnet.counters import Counters
from kpclientd.localnet.errors import LocalNetworkError
from kpclientd.localnet.keys import KeyMaker, KeyTree
from kpclientd.localnet.storage.replica import EnvelopeKeys, Replica
from kpclientd.localnet.storage.storage import Offload, Storage, in_threads
from kpclientd.pigeonhole import libraries
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from pki.epoch import EpochClock
from sphinx.crypto.nike_base import Nike
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness

LEAST_REPLICAS: Final = 2
MOST_REPLICAS: Final = 256


def build_storage(
    count: int,
    *,
    keys: KeyMaker,
    tree: KeyTree,
    sphinx_geometry: Geometry,
    clock: EpochClock,
    unix: Callable[[], float],
    counters: Counters,
    changed: Callable[[], None],
    path: Path | None = None,
    nike: Nike | None = None,
    offload: Offload | None = None,
) -> Storage:
    """Make `count` replicas and a courier.

    Args:
        count: from two on.
        keys: makes the replicas' identities.
        tree: what their envelope keys grow from.
        sphinx_geometry: of the network's packets.
        clock: the network's epochs.
        unix: the wall clock.
        counters: the network's.
        changed: is told when documents have to say something else.
        path: the file that boxes are kept in; None for memory.
        nike: the scheme of the envelope keys; None for the one that clients demand.
        offload: runs what is slow; None for threads.

    Raises:
        LocalNetworkError: if there cannot be so many replicas.
        PigeonholeGeometryError: if the network's packets are too small.
        PigeonholeUnavailable: if a package is missing.
    """
    if not LEAST_REPLICAS <= count <= MOST_REPLICAS:
        raise LocalNetworkError(
            f"{count} storage replicas cannot be: none, or from {LEAST_REPLICAS} to {MOST_REPLICAS}"
        )
    if nike is None:
        libraries.check_available()
        nike = libraries.nike()
    geometry = PigeonholeGeometry.derive(sphinx_geometry)
    replicas = []
    for number in range(count):
        identity = keys.node(f"replica{number + 1}")
        envelope_keys = EnvelopeKeys(nike, partial(tree.randomness, identity.name, "envelope"))
        replicas.append(Replica(number, identity, envelope_keys, nike, geometry))
    return Storage(
        replicas,
        geometry=geometry,
        clock=clock,
        unix=unix,
        randomness=Randomness(os.urandom),
        counters=counters,
        offload=offload or in_threads(),
        changed=changed,
        path=path,
    )
