"""The status page and metrics of a running daemon, over real sockets: what is there, and what is in none of it."""

import base64
import os
import socket
import stat
from pathlib import Path

import pytest
import trio

from kpclientd.addresses import LOOPBACK
from kpclientd.config.model import WebAddress
from kpclientd.localnet.files import free_port
from kpclientd.status_page.site import ALWAYS
from kpclientd.thin.errors import ListenError
from kpclientd.thin.listener_token import TokenError
from tests.status_page.serving import get, has_ipv6, raw, served_status
from tests.support.world import World, world

TOKEN = "token-of-the-test-0123456789"
CANARY = b"canary: nobody but its service reads this"
PATHS = ("/", "/page.js", "/page.css", "/page.svg", "/status.json", "/metrics")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return path


async def test_page_figures_and_metrics_are_served(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as here, served_status(here, caplog) as (url,):
        kinds = {}
        for path in PATHS:
            answer = await get(url + path)
            assert answer.status_code == 200
            assert {name: answer.headers[name] for name, _ in ALWAYS} == dict(ALWAYS)
            assert "set-cookie" not in answer.headers
            kinds[path] = answer.headers["content-type"].partition(";")[0]
        assert list(kinds.values()) == [
            *("text/html", "text/javascript", "text/css", "image/svg+xml", "application/json", "text/plain")
        ]
        figures = (await get(f"{url}/status.json")).json()
        status = here.daemon.status()
        assert figures["link"]["gateway"] == status.link.gateway
        assert figures["epoch"] == status.document_epoch == status.epoch
        assert figures["traffic"]["departures"]["expected"] == pytest.approx(1.5)
        assert (await get(f"{url}/nothing")).status_code == 404
        assert (await get(f"{url}/status.json", host="evil.example")).status_code == 421


async def test_metrics_have_an_address_of_their_own_where_nothing_else_is(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as here, served_status(here, caplog, metrics=WebAddress(LOOPBACK, 0)) as (metrics, url):
        assert metrics.endswith("/metrics")
        assert "katzenpost_client_gateway_connected 1.0" in (await get(metrics)).text
        base = metrics.removesuffix("/metrics")
        for path in ("/", "/status.json", "/page.js"):
            assert (await get(base + path)).status_code == 404
        assert (await get(f"{url}/status.json")).status_code == 200


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no address ::1")
async def test_the_page_may_be_at_an_address_of_ipv6(caplog: pytest.LogCaptureFixture) -> None:
    async with world(connected=False) as here, served_status(here, caplog, host="::1") as (url,):
        assert url.startswith("http://[::1]:")
        assert (await get(f"{url}/status.json")).json()["link"]["gateway"] is None


async def test_with_a_token_figures_are_for_those_who_show_it(
    caplog: pytest.LogCaptureFixture, token_file: Path
) -> None:
    async with world(connected=False) as here, served_status(here, caplog, token_file=token_file) as (url,):
        for path in ("/status.json", "/metrics"):
            refused = await get(url + path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert (await get(url + path, authorization="Bearer wrong-token-of-test")).status_code == 401
            assert (await get(url + path, authorization=f"Bearer {TOKEN}")).status_code == 200
            assert (await get(f"{url}{path}?token={TOKEN}")).status_code == 200
        assert (await get(url)).status_code == 200
    assert TOKEN not in caplog.text


async def test_a_token_that_everybody_can_read_is_none(caplog: pytest.LogCaptureFixture, token_file: Path) -> None:
    token_file.chmod(0o644)
    async with world(connected=False) as here:
        with pytest.raises(TokenError, match="chmod 600"):
            async with served_status(here, caplog, token_file=token_file):
                pass


async def test_an_address_that_is_taken_is_said_with_its_key(caplog: pytest.LogCaptureFixture) -> None:
    async with world(connected=False) as here:
        with socket.create_server((LOOPBACK, 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ListenError, match=rf"\[Status\] Address: cannot listen on tcp 127.0.0.1:{port}: "):
                async with served_status(here, caplog, port=port):
                    pass
            with pytest.raises(ListenError, match=rf"MetricsAddress: cannot listen on tcp 127.0.0.1:{port}: "):
                async with served_status(here, caplog, metrics=WebAddress(LOOPBACK, port)):
                    pass
        free = free_port()
        async with served_status(here, caplog, port=free) as (url,):  # nothing was left behind
            assert (await get(url)).status_code == 200


async def test_what_hostile_clients_do_keeps_nobody_from_the_page(caplog: pytest.LogCaptureFixture) -> None:
    async with world(connected=False) as here, served_status(here, caplog) as (url,):
        silent = [await raw(url) for _ in range(20)]
        half = await raw(url)
        await half.send_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\nX:")
        garbage = await raw(url)
        await garbage.send_all(os.urandom(5000))
        assert (await get(f"{url}/status.json")).status_code == 200
        for stream in (*silent, half, garbage):
            await trio.aclose_forcefully(stream)


def spellings(secret: bytes) -> set[bytes]:
    """All ways in which a secret might be shown."""
    encoded = {base64.b64encode(secret), base64.urlsafe_b64encode(secret)}
    return {secret, secret.hex().encode(), secret.hex().upper().encode()} | {text.rstrip(b"=") for text in encoded}


async def everything(url: str, **headers: str) -> bytes:
    return b"".join([(await get(url + path, **headers)).content for path in PATHS])


async def secrets_of_an_exchange(here: World) -> dict[str, bytes]:
    """Let an application send and get answers, and go on while others are under way."""
    token = here.daemon.randomness.bytes(16)
    app = await here.app(token)
    service = here.service()
    surb_ids = [here.daemon.randomness.bytes(16) for _ in range(30)]
    for surb_id in surb_ids:
        await app.send(service, CANARY, surb_id)
    await here.until(lambda: len(app.replies) >= 10, 60)
    assert any(payload[: len(CANARY)] == CANARY for payloads in app.replies.values() for payload in payloads)
    (session,) = here.daemon.sessions
    surbs = list(here.daemon.engine.surbs)
    assert surbs
    return {
        "payload": CANARY,
        "destination": bytes(service.node_id),
        "endpoint": bytes(service.endpoint).rstrip(b"\0"),
        "session token": token,
        "app id": session.app_id,
        **{f"surb id {number}": surb_id for number, surb_id in enumerate(surb_ids)},
        **{f"surb keys {number}": surb.keys[:32] for number, surb in enumerate(surbs)},
    }


async def test_no_payload_destination_surb_or_token_is_in_any_of_it(
    caplog: pytest.LogCaptureFixture, token_file: Path
) -> None:
    async with (
        world(lambda_p=0.02, lambda_l=0.01, mu=0.05) as here,
        served_status(here, caplog, token_file=token_file) as (url,),
    ):
        secrets = await secrets_of_an_exchange(here)
        secrets["page token"] = TOKEN.encode()
        assert here.daemon.status().in_flight or here.daemon.status().waiting
        shown = await everything(url, authorization=f"Bearer {TOKEN}")
        assert b"katzenpost_client_lambdap_fifo_pop_total" in shown
        for what, secret in secrets.items():
            for spelled in spellings(secret):
                assert spelled not in shown, what
    assert CANARY.decode() not in caplog.text


async def test_what_is_drawn_by_time_knows_nothing_of_what_packets_carry(caplog: pytest.LogCaptureFixture) -> None:
    async with world(connected=False) as here, served_status(here, caplog) as (url,):
        figures = (await get(f"{url}/status.json")).json()
        assert set(figures["traffic"]["departures"]) == {"expected", "window", "recent", "gaps"}
        assert all(not isinstance(value, list) for key, value in figures["traffic"].items() if key != "departures")
