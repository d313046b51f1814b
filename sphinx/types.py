"""The byte strings that every layer names: each has one meaning and one length."""

from typing import NewType

NodeId = NewType("NodeId", bytes)
"""BLAKE2b-256 of a node's identity key (32 bytes)."""

RecipientId = NewType("RecipientId", bytes)
"""Whom the last hop hands the payload to: a service's endpoint or a client's queue id (32 bytes)."""

SurbId = NewType("SurbId", bytes)
"""Names a single-use reply block to the client that made it (16 bytes)."""

NODE_ID_LENGTH = 32
RECIPIENT_ID_LENGTH = 32
SURB_ID_LENGTH = 16
