"""What happened in a local Loopix network, in numbers; nothing is dropped without being counted with its reason."""

from enum import StrEnum

from kpclientd.localnet.counters import CountersOf


class DropReason(StrEnum):
    """Why something was answered by nothing, or a packet went no further."""

    NOT_A_PACKET = "not a packet"
    UNKNOWN_FLAG = "unknown flag"
    PROCESSING_FAILED = "packet does not open"
    FINAL_AT_MIX = "ends at a mix"
    BAD_ADDRESS = "next hop's address"
    UNREACHABLE = "next hop unreachable"
    IN_FLIGHT_LIMIT = "too many packets in flight"
    BAD_REQUEST = "malformed request"
    TOO_MANY_CLIENTS = "too many clients"
    UNKNOWN_INBOX = "no such inbox"
    INBOX_FULL = "inbox full"
    UNKNOWN_CLIENT = "pull by an unknown client"
    WRONG_TOKEN = "pull with a wrong token"
    TOO_MANY_CONNECTIONS = "too many connections"
    NODE_DEAD = "node is dead"
    FAULT_PACKET_LOST = "packet lost on command"
    FAULT_REPLY_LOST = "stored message lost with its reply on command"


class Counted(StrEnum):
    """What else is worth counting."""

    CONNECTIONS = "connections"
    PACKETS_RELAYED = "packets relayed"
    PACKETS_STORED = "packets stored"
    PACKETS_PULLED = "packets pulled"
    PULLS = "pulls"
    REGISTRATIONS = "registrations"
    RESTARTS = "provider restarts"
    TOPOLOGIES_SERVED = "topologies served"
    TOPOLOGIES_REFUSED = "topologies refused"
    PRESENCES = "presences announced"
    FAULT_DUPLICATES = "duplicated on command"
    FAULT_CORRUPTIONS = "corrupted on command"
    FAULT_REPLIES = "faulty replies on command"


class Counters(CountersOf[Counted, DropReason]):
    """The counters of a local Loopix network."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Counted, DropReason)
