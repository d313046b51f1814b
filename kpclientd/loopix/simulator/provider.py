"""What a provider does: it is a mix, and keeps its clients' mail until they pull it.

Sans-IO. Its memory is that of the genuine one: inboxes are on its disk and outlive a restart, the table of tokens is
not. (The Nym 2019 Loopix client, "registration", "pull" and "what a stored message is".)
"""

import hashlib
import hmac
from typing import Final

from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.messages_pb2 import PullRequest
from kpclientd.loopix.nodes import KEY_LENGTH, ClientConfig, key_text
from kpclientd.loopix.packet import ASSIGN, COMM, PULL, TOKEN, general, parse_general
from kpclientd.loopix.protobuf import decode
from kpclientd.loopix.simulator.actions import Answer, Drop, NodeAction
from kpclientd.loopix.simulator.counters import Counted, Counters, DropReason
from kpclientd.loopix.simulator.faults import Faults
from kpclientd.loopix.simulator.faulty_replies import faulty_reply, response
from kpclientd.loopix.simulator.mix import Mix, NodeKeys
from sphinx.randomness import Randomness

MAX_CLIENTS: Final = 4096
MAX_INBOX_LENGTH: Final = 16384
"""Packets in one inbox; ours, like the bound above: the genuine provider has none but its disk."""

_TOKEN_PREFIX: Final = b"TMP_Token"


def token_for(client: str) -> bytes:
    """Return the token of the client with that id: 32 bytes, which anybody can compute."""
    return hashlib.sha256(_TOKEN_PREFIX + client.encode()).digest()


class Provider:
    """A provider without its connections.

    Args:
        keys: who it is.
        honour_delays: see `Mix`.
        faults: the switches.
        counters: where to count.
        randomness: for the order in which an inbox is read.
    """

    def __init__(
        self, keys: NodeKeys, *, honour_delays: bool, faults: Faults, counters: Counters, randomness: Randomness
    ) -> None:
        self.keys = keys
        self._mix = Mix(keys, honour_delays=honour_delays)
        self.faults = faults
        self.counters = counters
        self._randomness = randomness
        self._tokens: dict[str, bytes] = {}
        self._inboxes: dict[str, list[bytes]] = {}

    @property
    def clients(self) -> list[str]:
        """The ids of those who are registered since the last restart."""
        return list(self._tokens)

    def waiting(self, client: str) -> int:
        """Return how many packets the inbox of that id holds."""
        return len(self._inboxes.get(client, ()))

    def restart(self) -> None:
        """Forget who is registered; what was stored stays, and more is stored into known inboxes."""
        self._tokens.clear()
        self.counters.add(Counted.RESTARTS)

    def rekey(self, keys: NodeKeys) -> None:
        """Restart with other keys, as genuine providers of the first generation do at each start."""
        self.keys = self._mix.keys = keys
        self.restart()

    def take(self, data: bytes) -> NodeAction:
        """Say what to do about what a connection brought; see `Mix.take`."""
        try:
            flag, body = parse_general(data)
        except LoopixError:
            return Drop(DropReason.NOT_A_PACKET)
        if flag == COMM:
            return self._mix.relay(body)
        if flag == ASSIGN:
            return self._register(body)
        if flag == PULL:
            return self._pull(body)
        return Drop(DropReason.UNKNOWN_FLAG)

    def store(self, inbox: str, packet: bytes) -> DropReason | None:
        """Keep a packet that has come to its end; returns why it could not be kept."""
        stored = self._inboxes.get(inbox)
        if stored is None:
            return DropReason.UNKNOWN_INBOX
        if len(stored) >= MAX_INBOX_LENGTH:
            return DropReason.INBOX_FULL
        stored.append(packet)
        return None

    def _register(self, body: bytes) -> Answer | Drop:
        try:
            public_key = ClientConfig.decode(body).public_key
        except LoopixError:
            return Drop(DropReason.BAD_REQUEST)
        if len(public_key) != KEY_LENGTH:
            return Drop(DropReason.BAD_REQUEST)
        client = key_text(public_key)
        if client not in self._inboxes and len(self._inboxes) >= MAX_CLIENTS:
            return Drop(DropReason.TOO_MANY_CLIENTS)
        self._tokens[client] = token_for(client)
        self._inboxes.setdefault(client, [])
        self.counters.add(Counted.REGISTRATIONS)
        packets = [general(TOKEN, self._tokens[client])]
        if self.faults.registration is None:
            return Answer(response(packets))
        self.counters.add(Counted.FAULT_REPLIES)
        return faulty_reply(packets, self.faults.registration)

    def _pull(self, body: bytes) -> Answer | Drop:
        try:
            request = decode(PullRequest, body, LoopixError)
        except LoopixError:
            return Drop(DropReason.BAD_REQUEST)
        client = key_text(request.ClientPublicKey)
        token = self._tokens.get(client)
        if token is None:
            return Drop(DropReason.UNKNOWN_CLIENT)
        if not hmac.compare_digest(token, request.Token):
            return Drop(DropReason.WRONG_TOKEN)
        self.counters.add(Counted.PULLS)
        stored = self._inboxes[client]
        packets = [general(COMM, stored.pop(self._randomness.below(len(stored)))) for _ in range(len(stored))]
        if self.faults.pull is None:
            self.counters.add(Counted.PACKETS_PULLED, len(packets))
            return Answer(response(packets))
        self.counters.add(Counted.FAULT_REPLIES)
        answer = faulty_reply(packets, self.faults.pull)
        if self.faults.pull.loses_the_reply:
            self.counters.add(DropReason.FAULT_REPLY_LOST, len(packets))
        else:
            self.counters.add(Counted.PACKETS_PULLED, len(packets))
        return answer
