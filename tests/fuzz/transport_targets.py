"""What stands between us and a gateway: addresses out of documents, a proxy's answers, QUIC datagrams."""

from aioquic.tls import Epoch

from kpclientd.addresses import AddressError
from kpclientd.transports import UpstreamProxy, target_of
from kpclientd.transports.quic_session import WINDOW, QuicSession
from kpclientd.transports.socks5 import Credentials, Socks5Client, SocksError
from tests.transports.quic_pair import CLIENT, SERVER, Pair, new_client, new_server

PROXIES = (
    UpstreamProxy(),
    UpstreamProxy("socks5", "tcp", "127.0.0.1:1080"),
    UpstreamProxy("tor+socks5", "tcp", "127.0.0.1:9050"),
)
LONGEST_ANSWER = 262
"""Of a SOCKS5 proxy: five bytes, a name, a port."""

MOST_DATAGRAMS = 50


def address(data: bytes) -> None:
    """A URL of any kind is dialled by the rules, or told."""
    url = data.decode("utf-8", "replace")
    for proxy in PROXIES:
        for hostnames_allowed in (False, True):
            try:
                target = target_of(url, proxy, hostnames_allowed=hostnames_allowed)
            except AddressError as error:
                assert len(str(error)) < 1000
                continue
            assert target.host.isascii()
            assert len(target.host) <= 255
            assert 0 < target.port < 65536


def socks(data: bytes) -> None:
    """The first byte says whether there are credentials and in which pieces the rest comes."""
    if not data:
        return
    mode, rest = data[0], data[1:]
    credentials = Credentials(b"user", b"password") if mode & 1 else None
    client = Socks5Client("gateway.example", 1, credentials, is_anonymous_allowed=not mode & 2)
    while rest and client.wanted:
        size = min(client.wanted, 1 + mode // 4)
        try:
            client.receive(rest[:size])
        except SocksError:
            assert not client.is_open
            return
        rest = rest[size:]
        assert client.wanted <= LONGEST_ANSWER
    assert client.is_open == (not client.wanted)


def quic(data: bytes) -> None:
    """The first byte says who listens and when; then datagrams, two bytes of length before each."""
    if not data:
        return
    mode, rest = data[0], data[1:]
    if mode & 2:
        pair = Pair().open()
        session, source, now = (pair.server, CLIENT, pair.now) if mode & 1 else (pair.client, SERVER, pair.now)
    elif mode & 1:
        client = new_client()
        first = client.datagrams(0.0)[0][0]
        session, source, now = new_server(first), CLIENT, 0.0
        if mode & 4:
            rest = changed(first, rest)
    else:
        session, source, now = new_client(), SERVER, 0.0
    feed(session, rest, source, now)


def changed(genuine: bytes, changes: bytes) -> bytes:
    """A genuine datagram with some bytes changed, two bytes of place and one to add for each, framed."""
    datagram = bytearray(genuine)
    for at in range(0, len(changes) - 2, 3):
        datagram[int.from_bytes(changes[at : at + 2]) % len(datagram)] ^= changes[at + 2]
    return len(datagram).to_bytes(2) + bytes(datagram)


def feed(session: QuicSession, data: bytes, source: tuple[str, int], now: float) -> None:
    for _ in range(MOST_DATAGRAMS):
        length = int.from_bytes(data[:2])
        datagram, data = data[2 : 2 + length], data[2 + length :]
        session.receive_datagram(datagram, source, now)
        check(session, now)
        if not data:
            return


def check(session: QuicSession, now: float) -> None:
    """Whatever has come, the session goes on or is over, and holds no more than it may."""
    session.datagrams(now)
    due = session.timer()
    assert session.is_over or due is None or due >= 0
    assert len(session._received) <= WINDOW
    if due is not None:
        session.handle_timer(due)
        session.datagrams(due)


def quic_frames(data: bytes) -> None:
    """A peer that shook hands properly, and now seals whatever it likes: the first byte says which end is attacked."""
    if not data:
        return
    mode, rest = data[0], data[1:]
    pair = Pair().open()
    victim, peer, source = (pair.server, pair.client, CLIENT) if mode & 1 else (pair.client, pair.server, SERVER)
    quic = peer._quic
    number = quic._packet_number + 10
    for _ in range(MOST_DATAGRAMS):
        length = int.from_bytes(rest[:2])
        frames, rest = rest[2 : 2 + length].ljust(4, b"\0"), rest[2 + length :]
        keys = quic._cryptos[Epoch.ONE_RTT]
        header = bytes([0x41 | keys.key_phase << 2]) + quic._peer_cid.cid + (number & 0xFFFF).to_bytes(2)
        packet = keys.encrypt_packet(header, frames, number)
        number += 1
        victim.receive_datagram(packet, source, pair.now)
        check(victim, pair.now)
        if not rest:
            return
