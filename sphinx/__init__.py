# Part of kpclientd.
"""Sphinx packets of the Katzenpost mix network: pure functions over bytes."""

from sphinx.commands import NextNodeHop, NodeDelay, Recipient, RoutingCommand, SurbReply
from sphinx.geometry import Geometry
from sphinx.packet import Sphinx
from sphinx.path import PathHop
from sphinx.plaintext import Request, compose_plaintext, parse_plaintext
from sphinx.randomness import Randomness
from sphinx.surb import NewSurb
from sphinx.types import NodeId, RecipientId, SurbId
from sphinx.unwrap import Unwrapped

__all__ = [
    "Geometry",
    "NewSurb",
    "NextNodeHop",
    "NodeDelay",
    "NodeId",
    "PathHop",
    "Randomness",
    "Recipient",
    "RecipientId",
    "Request",
    "RoutingCommand",
    "Sphinx",
    "SurbId",
    "SurbReply",
    "Unwrapped",
    "compose_plaintext",
    "parse_plaintext",
]
