"""The status page as people meet it: in a real browser."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import trio

from kpclientd.localnet.files import free_port
from tests.status_page.serving import served_status
from tests.support.browser import CHROMIUM, Tab, tab
from tests.support.world import World, world

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

TOKEN = "token-of-the-test-0123456789"
RATES: dict[str, Any] = {"lambda_p": 0.02, "lambda_l": 0.01, "mu": 0.05}
"""Many packets a second: something is to be seen soon."""

WIDTHS = (360, 768, 1280)
PLOTS = ("sends", "gaps", "trips", "flight", "timeline")
_NUMBER = r"^[\d,]+"


async def opened(page: Tab, url: str) -> None:
    """Open the page and wait until it shows figures."""
    await page.open(url)
    await page.until(lambda text: text == "Connected", "document.getElementById('state')?.textContent")


async def use(here: World) -> None:
    """Let an application be there, and wait for answers."""
    app = await here.app()
    service = here.service()
    for number in range(200):
        await app.send(service, b"echo", bytes([number]) * 16)


async def test_it_shows_what_the_daemon_does_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with world(**RATES) as here, served_status(here, caplog) as (url,), tab() as page:
        await use(here)
        await opened(page, url)
        status = here.daemon.status()
        assert await page.text("gateway") == status.link.gateway
        assert (await page.text("epoch")).replace(",", "") == str(status.epoch)
        assert await page.text("document") == f"{status.documents[0].signatures} of {status.documents[0].authorities}"
        (session,) = here.daemon.sessions
        assert session.app_id[:4].hex() in await page.text("apps")
        first = await page.until(
            lambda text: bool(re.match(_NUMBER, text)), "document.getElementById('trips-text').textContent"
        )
        await page.until(
            lambda text: text != first and bool(re.match(_NUMBER, text)),
            "document.getElementById('trips-text').textContent",
        )
        await page.until(bool, "document.querySelectorAll('#sends .bar').length")
        await page.until(bool, "document.querySelectorAll('#gaps .bar').length")
        await page.until(bool, "document.querySelector('#flight .curve') !== null")
        assert await page.value("document.querySelectorAll('#timeline .current').length") == 1
        assert {re.sub(r"[?#].*", "", address.removeprefix(url)) for address in page.requested} == {
            *("/", "/page.css", "/page.js", "/page.svg", "/status.json")
        }
        assert page.said == []
        assert await page.value("document.cookie + localStorage.length + sessionStorage.length") == "00"


async def test_everything_has_a_name_for_who_cannot_see_it(caplog: pytest.LogCaptureFixture) -> None:
    async with world(**RATES) as here, served_status(here, caplog) as (url,), tab() as page:
        await use(here)
        await opened(page, url)
        told = await page.accessible()
        roles = [role for role, _ in told]
        for landmark in ("banner", "main", "contentinfo"):
            assert roles.count(landmark) == 1, landmark
        headings = [name for role, name in told if role == "heading"]
        assert headings[0] == "kpclientd"
        assert {"Traffic", "Documents", "Applications", "Dropped or turned away", "Room"} <= set(headings)
        for role, name in told:
            if role in ("link", "button", "textbox", "region", "columnheader", "rowheader", "RootWebArea"):
                assert name, role
        for plot in PLOTS:
            title = await page.value(f"document.querySelector('#{plot} title').textContent")
            assert title in [name for role, name in told if role in ("image", "img", "graphics-document")]
            described = await page.value(f"document.getElementById('{plot}').getAttribute('aria-describedby')")
            assert await page.text(described)
        assert ("status", "") in told or any(role == "status" for role in roles)
        levels = await page.value("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


async def test_it_is_narrow_and_wide_light_and_dark(caplog: pytest.LogCaptureFixture) -> None:
    async with world(**RATES) as here, served_status(here, caplog) as (url,), tab() as page:
        await use(here)
        grounds = {}
        for scheme in ("light", "dark"):
            for width in WIDTHS:
                await page.show_as(width=width, scheme=scheme)
                await opened(page, url)
                room = await page.value("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
                assert room[0] <= room[1] <= width, (scheme, width)
                cut = "[...document.querySelectorAll('.tile span, h1, h2:not(.hidden), h3, figcaption, .state')]"
                assert await page.value(f"{cut}.filter(e => e.scrollWidth > e.clientWidth + 1).length") == 0
            grounds[scheme] = await page.value("getComputedStyle(document.body).backgroundColor")
        assert sum(map(int, re.findall(r"\d+", grounds["light"]))) > sum(map(int, re.findall(r"\d+", grounds["dark"])))
        assert page.said == []


async def test_nothing_jumps_when_the_first_figures_come(caplog: pytest.LogCaptureFixture) -> None:
    places = (
        "[...document.querySelectorAll('h2, figure')].slice(0, 7).map(e => Math.round(e.getBoundingClientRect().top))"
    )
    async with world(**RATES) as here, served_status(here, caplog) as (url,), tab() as page:
        await page.show_as(width=1280)
        await opened(page, url)
        shown = await page.value(places)
        await page.call("Emulation.setScriptExecutionDisabled", value=True)
        await page.call("Page.reload")
        await page.until(lambda state: state == "complete", "document.readyState")
        await page.value("document.querySelector('noscript')?.remove()")
        assert await page.value(places) == shown


async def test_it_goes_by_the_keyboard_and_without_motion(caplog: pytest.LogCaptureFixture) -> None:
    async with world(**RATES) as here, served_status(here, caplog) as (url,), tab() as page:
        await page.show_as(width=1280, motion="reduce")
        await opened(page, url)
        reached = []
        for _ in range(4):
            for kind in ("keyDown", "keyUp"):
                await page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            reached.append(
                await page.value("(document.activeElement.getAttribute('href') || document.activeElement.className)")
            )
        assert reached == ["#main", "scroll", "/status.json", "/metrics"]
        assert await page.value("getComputedStyle(document.getElementById('figures')).transitionProperty") in (
            "none",
            "all",
        )
        assert await page.value("getComputedStyle(document.getElementById('figures')).transitionDuration") == "0s"


async def test_a_daemon_that_is_gone_is_said_and_one_that_is_back_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    async with world(**RATES) as here, tab() as page:
        async with served_status(here, caplog, port=port) as (url,):
            await opened(page, url)
        state = "document.getElementById('state').textContent"
        await page.until(lambda text: text.startswith("No answer since "), state)
        assert await page.value("document.body.className") == "gone"
        await here.restart()
        await here.until(here.is_sending, 60)
        async with served_status(here, caplog, port=port):
            await page.until(lambda text: text == "Connected", state)
            assert await page.value("document.body.className") == ""
        assert all("ERR_CONNECTION" in said or "ERR_EMPTY" in said for said in page.said), page.said


async def test_a_daemon_without_a_link_is_shown_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    async with world(**RATES) as here, served_status(here, caplog) as (url,), tab() as page:
        await opened(page, url)
        for gateway in here.network.gateways:
            gateway.stop()
        state = "document.getElementById('state').textContent"
        await page.until(lambda text: text.startswith("Not connected: "), state)
        assert await page.text("gateway") == "none"
        assert "ago: " in await page.text("gateway-note")
        assert page.said == []


async def test_a_token_is_asked_for_and_taken_out_of_the_address(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    async with world(**RATES) as here, served_status(here, caplog, token_file=path) as (url,), tab() as page:
        await page.open(url)
        hidden = "document.getElementById('token-form')?.hidden"
        await page.until(lambda value: value is False, hidden)
        assert await page.value("document.activeElement.id") == "token"
        for text, state in (("wrong-token-of-the-test", "The daemon wants its token"), (TOKEN, "Connected")):
            await page.call("Input.insertText", text=text)
            for kind in ("keyDown", "keyUp"):
                await page.call(
                    "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
                )
            await page.until(lambda shown, state=state: shown == state, "document.getElementById('state').textContent")  # type: ignore[misc]
            if text != TOKEN:
                await page.until(
                    lambda text: "not the token" in text, "document.getElementById('token-fault').textContent"
                )
        assert await page.value(hidden) is True
        assert TOKEN not in await page.value("document.documentElement.outerHTML + location.href")
        await opened(page, f"{url}/?token={TOKEN}")
        assert await page.value("location.href") == f"{url}/"
        assert await page.value("document.cookie + localStorage.length + sessionStorage.length") == "00"


async def test_a_hidden_tab_asks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with world(**RATES) as here, served_status(here, caplog) as (url,), tab() as page:
        await opened(page, url)
        await page.value("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        await trio.sleep(2)
        asked = len(page.requested)
        await trio.sleep(3)
        assert len(page.requested) == asked
        await page.value("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        await page.until(lambda _: len(page.requested) > asked, "1")


async def test_states_of_all_kinds_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    name = "<img src=x onerror=alert(1)>" + "w" * 200
    changes = (
        "s.link.gateway = NAME; s.link.links = 1234",
        "s.link.state = 'waiting'; s.link.next_try = s.time.now + 9;"
        "s.link.last_end = {at: s.time.now - 5, gateway: NAME, reason: NAME}",
        "s.epoch = s.epoch_began_at = null; s.documents = []; s.time.skew = null",
        "s.time.skew = -86400; s.time.correction = 0",
        "s.further_applications = 1e6; s.applications = Array(50).fill({...s.applications[0],"
        " messages: 4096, message_bytes: 1e9, unread: 1e6, unread_bytes: 1e9})",
        "s.traffic.departures = {...s.traffic.departures, expected: 0, recent: []};"
        "s.round_trips.counts = s.round_trips.counts.map(() => 0)",
        "s.round_trips.counts = s.round_trips.counts.map((_, n) => n === 12 ? 5 : 0); s.in_flight = s.waiting = 1e9",
        "s.drops = {[NAME]: 1e12};"
        "s.traffic.departures.gaps.counts = s.traffic.departures.gaps.counts.map((_, n) => n ? 0 : 1e9)",
    )
    broken = "[...document.querySelectorAll('svg *')].filter(e => /NaN|undefined|Infinity/.test(e.outerHTML)).length"
    async with world(**RATES) as here, served_status(here, caplog) as (url,), tab() as page:
        await use(here)
        await page.show_as(width=360)
        await opened(page, url)
        await page.value("clearTimeout(timer); Object.defineProperty(document, 'hidden', {value: true})")
        for change in changes:
            width = await page.value(
                f"(NAME => {{ const s = structuredClone(present); {change}; show(s); "
                f"return document.documentElement.scrollWidth - document.documentElement.clientWidth; }})({name!r})"
            )
            assert width <= 0, change
            assert await page.value("document.querySelectorAll('main img').length") == 0
            assert await page.value(broken) == 0, change
            assert not re.search("NaN|undefined|null|Infinity", await page.value("document.body.innerText")), change
        assert page.said == []


async def test_numbers_are_told_as_people_read_them(caplog: pytest.LogCaptureFixture) -> None:
    spans = {0: "0 s", 0.4: "0 s", 59: "59 s", 60: "1 min", 61: "1 min 1 s", 3600: "1 h", 7260: "2 h 1 min"}
    async with world(connected=False) as here, served_status(here, caplog) as (url,), tab() as page:
        await page.open(url)
        await page.until(bool, "typeof duration === 'function'")
        assert await page.value(f"{list(spans)}.map(duration)") == list(spans.values())
        assert await page.value("[0, 1023, 1024, 3 * 1048576].map(bytes)") == ["0 B", "1023 B", "1.0 KiB", "3.0 MiB"]
        assert await page.value("[0.05, 1.6, 25.6].map(short)") == ["50 ms", "1.6 s", "26 s"]
        shares = "[0.5, 0.95, 1].map(share => quantile({bounds: [1, 2], counts: [5, 4, 1]}, share))"
        assert await page.value(shares) == ["within 1 s", "above 2 s", "above 2 s"]
