"""The document as it is pushed to applications.

It is the certified document without its signatures. Clients of 2025 look a service up under a map key that is
literally called `omitempty` (a slip in their struct tags), so each service node carries its services under that key
too; clients of today ignore it, and the signed document stays as it was signed.
Source: the Katzenpost thin-client protocol, "older generations".
"""

from typing import Final

import cbor2

SERVICE_NODES: Final = "ServiceNodes"
SERVICES: Final = "Kaetzchen"
SERVICES_OLD: Final = "omitempty"


def pushed_document(certified: bytes) -> bytes:
    """Return the CBOR to push for a verified document, given its certified bytes."""
    document = cbor2.loads(certified)
    document[SERVICE_NODES] = [_with_old_key(node) for node in document.get(SERVICE_NODES) or ()]
    return cbor2.dumps(document, canonical=True)


def _with_old_key(encoded: bytes) -> bytes:
    node = cbor2.loads(encoded)
    node[SERVICES_OLD] = node.get(SERVICES)
    return cbor2.dumps(node, canonical=True)
