"""The words between a client and its provider: registration, token, pull.

Anybody can compute anybody's token, and register in anybody's name: that is the protocol. Source: the Nym 2019 Loopix
client, "registration" and "pull".
"""

from kpclientd.loopix.errors import PacketError, RegistrationError
from kpclientd.loopix.messages_pb2 import ProviderResponse, PullRequest
from kpclientd.loopix.nodes import ClientConfig
from kpclientd.loopix.packet import ASSIGN, PULL, TOKEN, general, parse_general
from kpclientd.loopix.protobuf import decode


def registration_packet(own: ClientConfig) -> bytes:
    """Return the packet that registers a client with its provider."""
    return general(ASSIGN, own.encode())


def token_of(reply: bytes) -> bytes:
    """Return the token that a provider's reply to a registration holds.

    Raises:
        RegistrationError: if it is not exactly one token.
    """
    packets = decode(ProviderResponse, reply, RegistrationError).Packets
    if len(packets) != 1:
        raise RegistrationError(f"the provider answered a registration with {len(packets)} packets, expected 1")
    try:
        flag, token = parse_general(packets[0])
    except PacketError as error:
        raise RegistrationError(f"the provider answered a registration with something else: {error}") from None
    if flag != TOKEN or not token:
        raise RegistrationError("the provider answered a registration without a token")
    return token


def pull_packet(token: bytes, public_key: bytes) -> bytes:
    """Return the packet that asks for a client's mail.

    Args:
        token: of the registration.
        public_key: the client's, 32 bytes.
    """
    return general(PULL, PullRequest(Token=token, ClientPublicKey=public_key).SerializeToString())
