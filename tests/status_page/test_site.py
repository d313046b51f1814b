"""What the status page answers to which request."""

from http import HTTPStatus

import pytest

from kpclientd.status_page.site import ALWAYS, Answer, Resource, Site, page_resources

TOKEN = b"a-token-of-the-test"
FIGURES = b"41, 42, 43"


async def figures() -> bytes:
    return FIGURES


RESOURCES = page_resources() | {"/status.json": Resource("application/json", figures)}


async def ask(
    site: Site, target: str = "/status.json", method: str = "GET", host: str | None = "127.0.0.1:1", **headers: str
) -> Answer:
    sent = [] if host is None else [(b"host", host.encode())]
    sent += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return await site.answer(method, target, sent)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:30098", "LOCALHOST:1", "localhost", "[::1]:9", "127.8.8.8"])
async def test_a_name_of_this_machine_is_answered(host: str) -> None:
    answer = await ask(Site(RESOURCES), host=host)
    assert (answer.status, answer.body) == (HTTPStatus.OK, FIGURES)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:30098", "localhost.evil.example", "192.0.2.1", "0.0.0.0", "", None, "[::1", "a@b"],
)
async def test_another_name_could_be_another_pages_and_is_refused(host: str | None) -> None:
    for target in ("/", "/status.json", "/nothing"):
        answer = await ask(Site(RESOURCES), target, host=host)
        assert answer.status is HTTPStatus.MISDIRECTED_REQUEST
        assert FIGURES not in answer.body


@pytest.mark.parametrize("host", ["192.0.2.1:30099", "kpclientd:30099", "KPCLIENTD", "localhost:1", "[2001:db8::1]"])
async def test_metrics_for_others_are_asked_for_by_an_address_or_by_the_configured_name(host: str) -> None:
    site = Site(RESOURCES, host="kpclientd")
    assert (await ask(site, host=host)).status is HTTPStatus.OK
    assert (await ask(site, host="evil.example")).status is HTTPStatus.MISDIRECTED_REQUEST
    assert (await ask(Site(RESOURCES, host=""), host="evil.example")).status is HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"])
async def test_there_is_only_something_to_read(method: str) -> None:
    answer = await ask(Site(RESOURCES), method=method)
    assert answer.status is HTTPStatus.METHOD_NOT_ALLOWED
    assert ("Allow", "GET, HEAD") in answer.headers


async def test_a_path_that_is_not_there_is_told_which_are() -> None:
    answer = await ask(Site(RESOURCES), "/../page.html")
    assert answer.status is HTTPStatus.NOT_FOUND
    assert b"/status.json" in answer.body


async def test_another_web_page_may_link_here_and_do_nothing_else() -> None:
    site = Site(RESOURCES)
    assert (await ask(site, sec_fetch_site="cross-site", sec_fetch_mode="no-cors")).status is HTTPStatus.FORBIDDEN
    assert (await ask(site, sec_fetch_site="cross-site", sec_fetch_mode="navigate")).status is HTTPStatus.OK
    assert (await ask(site, sec_fetch_site="same-origin", sec_fetch_mode="cors")).status is HTTPStatus.OK


@pytest.mark.parametrize(
    ("target", "authorization", "status"),
    [
        ("/status.json", f"Bearer {TOKEN.decode()}", HTTPStatus.OK),
        ("/status.json", f"bearer  {TOKEN.decode()} ", HTTPStatus.OK),
        (f"/status.json?token={TOKEN.decode()}", None, HTTPStatus.OK),
        ("/status.json", None, HTTPStatus.UNAUTHORIZED),
        ("/status.json", f"Bearer {TOKEN.decode()}x", HTTPStatus.UNAUTHORIZED),
        ("/status.json", f"Basic {TOKEN.decode()}", HTTPStatus.UNAUTHORIZED),
        ("/status.json?token=", None, HTTPStatus.UNAUTHORIZED),
        ("/status.json?token=%ff%fe", None, HTTPStatus.UNAUTHORIZED),
        ("/", None, HTTPStatus.OK),
        ("/page.js", None, HTTPStatus.OK),
    ],
)
async def test_figures_want_the_token_and_the_page_that_asks_for_it_does_not(
    target: str, authorization: str | None, status: HTTPStatus
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await ask(Site(RESOURCES, token=TOKEN), target, **headers)
    assert answer.status is status
    assert (FIGURES in answer.body) == (status is HTTPStatus.OK and "status" in target)
    assert TOKEN not in answer.body


def test_the_pages_policy_lets_nothing_in_from_elsewhere() -> None:
    headers = dict(ALWAYS)
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy.pop("default-src") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not any("cookie" in name.lower() or name == "Access-Control-Allow-Origin" for name in headers)
