"""What `kpclientd doctor` looks at, one check after the other; each finding says what is, and what to do about it.

A check opens what the daemon would open and writes nothing. Where the daemon runs it is asked; only where it does not
are the gateways dialled from here, as the daemon would dial them, with the keys of nobody.
"""

import enum
import importlib.util
import os
import platform
import resource
import stat
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from kpclientd.client.connection import DaemonUnreachableError, display
from kpclientd.client.daemon_status import StatusConnection, ToldStatus
from kpclientd.commands.terminal import duration
from kpclientd.config.load import examine
from kpclientd.config.model import ClientConfig, ListenTcp, ListenUnix
from kpclientd.errors import ConfigError
from kpclientd.gateway.choice import GatewayChoice, GatewayPool
from kpclientd.gateway.link import GatewayLink
from kpclientd.gateway.protocol import LinkProtocol
from kpclientd.pigeonhole.errors import PigeonholeUnavailable
from kpclientd.pigeonhole.libraries import check_available
from kpclientd.streams import reason_of
from kpclientd.thin.admission import RESERVED_DESCRIPTORS
from kpclientd.thin.errors import ThinError
from kpclientd.transports.dialler import Dialler
from kpclientd.transports.errors import DialError
from kpclientd.version import release
from kpclientd.wire.commands import DOCUMENT_LIMIT
from kpclientd.wire.consensus import Fetched, FetchResult
from pki import EpochClock, TrustedDocuments
from pki.epoch import DEFAULT_PERIOD_SOURCE, PERIOD_KEY, EpochPeriod, epoch_period
from pki.errors import EpochError
from sphinx.crypto.kem import kem_scheme
from sphinx.errors import MixnetError
from sphinx.native import engine_name
from sphinx.native.engines import PythonEngine
from sphinx.randomness import Randomness

MOST_GATEWAYS: Final = 8
GATEWAY_SECONDS: Final = 20.0
SKEW_SECONDS: Final = 2.0
"""Gateways tell whole seconds."""

COMPILER_REMEDY: Final = (
    "install a C compiler and Python's headers (on Debian: apt-get install gcc libc6-dev python3-dev) and install"
    " kpclientd again, or install its wheel for this processor"
)


class Level(enum.Enum):
    """How bad it is."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        level: how bad it is.
        about: what was looked at, in a word.
        text: what is.
        remedy: what to do; empty where there is nothing to do.
    """

    level: Level
    about: str
    text: str
    remedy: str = ""


async def examine_all(path: Path, randomness: Randomness) -> AsyncIterator[Finding]:
    """Look at everything, in the order in which one thing is needed for the next.

    Args:
        path: the daemon's configuration.
        randomness: for the keys of handshakes.
    """
    yield _program()
    try:
        examined = examine(path)
    except ConfigError as error:
        yield Finding(Level.WRONG, "configuration", str(error), "kpclientd config init FILE writes one to begin with")
        return
    for finding in _configuration(path, examined.config, examined.faults):
        yield finding
    config = examined.config
    if config is None:
        return
    if examined.unknown is not None:
        yield Finding(Level.DOUBTFUL, "configuration", str(examined.unknown), "remove them, or mend their names")
    for finding in (*_files(config), _descriptors(config), *_extras(config)):
        yield finding
    told: ToldStatus | None = None
    for listen in config.listen:
        if isinstance(listen, ListenUnix) or (isinstance(listen, ListenTcp) and listen.port):
            finding, answer = await _socket(listen)
            told = answer or told
            yield finding
    if told is not None:
        fields = told.fields
        yield _daemon(told)
        yield Finding(Level.GOOD, "epochs", f"{duration(fields['period'])} each; its present one is {fields['epoch']}")
        if fields["link"]["gateway"] is not None:
            return
    try:
        period = epoch_period(os.environ, config.epoch_duration)
        epoch = EpochClock(period.seconds).epoch(time.time())
    except EpochError as error:
        yield Finding(Level.WRONG, "epochs", str(error), "set this machine's clock, or the period, right")
        return
    if told is None:
        yield _epochs(period, epoch)
    async for finding in _gateways(config, period.seconds if told is None else told.fields["period"], randomness):
        yield finding


def _program() -> Finding:
    text = f"kpclientd {release()}, Python {platform.python_version()}, packets by {engine_name()}"
    if engine_name() == PythonEngine.name:
        return Finding(Level.DOUBTFUL, "program", f"{text}, which takes some thirty times as long", COMPILER_REMEDY)
    return Finding(Level.GOOD, "program", text)


def _configuration(path: Path, config: ClientConfig | None, faults: tuple[ConfigError, ...]) -> Iterator[Finding]:
    for fault in faults:
        yield Finding(Level.WRONG, "configuration", str(fault), f"kpclientd config check {path} tells when all is well")
    if config is None:
        return
    for warning in config.warnings():
        yield Finding(Level.DOUBTFUL, "configuration", warning)
    if config.upstream_proxy.password and path.stat().st_mode & (stat.S_IRWXO | stat.S_IRWXG):
        yield Finding(Level.DOUBTFUL, "configuration", f"others may read the password in {path}", f"chmod 600 {path}")
    yield Finding(Level.GOOD, "configuration", f"{path} is valid")


def _files(config: ClientConfig) -> Iterator[Finding]:
    """The folders in which something is to be written must be there."""
    wanted = {"log file": config.logging.file, "state file": config.arq.state_file}
    for about, file in wanted.items():
        if file is None:
            continue
        if not file.parent.is_dir():
            yield Finding(Level.WRONG, about, f"{file.parent} is not there", f"mkdir -p {file.parent}")
        elif not os.access(file if file.exists() else file.parent, os.W_OK):
            yield Finding(
                Level.DOUBTFUL,
                about,
                f"this user may not write {file}",
                "run doctor as the daemon's own user to be sure",
            )
        else:
            yield Finding(Level.GOOD, about, f"{file} can be written")


def _epochs(period: EpochPeriod, epoch: int) -> Finding:
    text = f"{duration(period.seconds)} each, {period.source}; the present one is {epoch}"
    if period.source == DEFAULT_PERIOD_SOURCE:
        return Finding(Level.GOOD, "epochs", text, f'if your network has another period: {PERIOD_KEY} = "2m", say')
    return Finding(Level.DOUBTFUL if period.advice else Level.GOOD, "epochs", text, period.advice)


def _descriptors(config: ClientConfig) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(soft, hard) if hard != resource.RLIM_INFINITY else hard
    wanted = config.limits.connections + RESERVED_DESCRIPTORS
    if most != resource.RLIM_INFINITY and most < wanted:
        text = f"this user's processes may have {most}, which leaves {max(1, most - RESERVED_DESCRIPTORS)} connections"
        return Finding(Level.DOUBTFUL, "descriptors", text, f"LimitNOFILE={wanted} in its unit, or ulimit -n {wanted}")
    return Finding(Level.GOOD, "descriptors", f"enough for {config.limits.connections} connections")


def _extras(config: ClientConfig) -> Iterator[Finding]:
    try:
        check_available()
        yield Finding(Level.GOOD, "storage", "the packages of Pigeonhole are here")
    except PigeonholeUnavailable as error:
        yield Finding(Level.GOOD, "storage", str(error), "only where applications use Pigeonhole")
    name = config.dbus_name
    if name and importlib.util.find_spec("jeepney") is None:
        yield Finding(Level.WRONG, "D-Bus", f"{name} cannot be owned", "pip install 'kpclientd[dbus]'")


async def _socket(listen: ListenTcp | ListenUnix) -> tuple[Finding, ToldStatus | None]:
    """Who listens where the daemon is to listen."""
    where = display(listen)
    try:
        async with StatusConnection(listen) as connection:
            told = await connection.ask()
            return Finding(Level.GOOD, "socket", f"a daemon listens at {where}"), told
    except DaemonUnreachableError as error:
        if isinstance(error.__cause__, PermissionError):
            return Finding(Level.WRONG, "socket", str(error)), None
    except ThinError as error:
        return Finding(Level.WRONG, "socket", str(error), "another program may have its place"), None
    if isinstance(listen, ListenUnix) and not listen.is_abstract:
        folder = Path(listen.address).parent
        if not folder.is_dir():
            return Finding(Level.WRONG, "socket", f"{folder} is not there", f"mkdir -p {folder}"), None
        if not os.access(folder, os.W_OK):
            remedy = "choose another path, or let systemd make its folder (RuntimeDirectory=)"
            return Finding(Level.DOUBTFUL, "socket", f"this user may not write to {folder}", remedy), None
        path = Path(listen.address)
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            return Finding(Level.WRONG, "socket", f"{path} is there and no socket", "remove it"), None
    return Finding(Level.GOOD, "socket", f"no daemon runs at {where}; the place is free"), None


def _daemon(told: ToldStatus) -> Finding:
    fields = told.fields
    link, end = fields["link"], fields["link"]["last_end"]
    if link["gateway"] is not None and any(document["is_current"] for document in fields["documents"]):
        return Finding(Level.GOOD, "daemon", f"online, by gateway {link['gateway']}")
    if link["gateway"] is not None:
        text = f"connected to {link['gateway']}, which has given no document of this epoch"
        return Finding(
            Level.WRONG, "daemon", text, "compare the epochs' period and the authorities' keys with the network's"
        )
    text = f"offline after {link['failures']} failed tries" + (f"; the last: {end['reason']}" if end else "")
    return Finding(Level.WRONG, "daemon", text, "see the gateways below; the daemon goes on trying by itself")


async def _gateways(config: ClientConfig, period: float, randomness: Randomness) -> AsyncIterator[Finding]:
    """Dial the pinned gateways, side by side, and shake hands."""
    dialler = Dialler(config.upstream_proxy, hostnames_allowed=config.allow_hostname_addresses, randomness=randomness)
    pool = GatewayPool(config.pinned_gateways, config.preferred_transports, dialler.can_dial, randomness)
    choices = pool.candidates()[:MOST_GATEWAYS]
    if not choices:
        yield Finding(Level.WRONG, "gateways", pool.why_none(), "take the network's own [[PinnedGateways.Gateways]]")
        return
    findings: list[Finding] = []

    async def look(choice: GatewayChoice) -> None:
        findings.append(await _gateway(config, period, dialler, choice, randomness))

    async with trio.open_nursery() as nursery:
        for choice in choices:
            nursery.start_soon(look, choice)
    for finding in findings:
        yield finding


async def _gateway(
    config: ClientConfig, period: float, dialler: Dialler, choice: GatewayChoice, randomness: Randomness
) -> Finding:
    protocol = LinkProtocol(
        choice,
        kem=kem_scheme(config.wire_kem_scheme),
        geometry=config.geometry,
        randomness=randomness,
        document_limit=DOCUMENT_LIMIT,
    )
    began = trio.current_time()
    try:
        with trio.fail_after(GATEWAY_SECONDS):
            stream = await dialler.dial(choice.addresses, isolation=choice.node_id)
            answer = await _asked(stream, protocol, EpochClock(period).epoch(time.time()))
    except (DialError, OSError) as error:
        remedy = "compare its address with the network's; a firewall may ask for [UpstreamProxy]"
        return Finding(Level.WRONG, "gateway", f"{choice.name} cannot be reached: {reason_of(error)}", remedy)
    except trio.TooSlowError:
        return Finding(Level.WRONG, "gateway", f"{choice.name} did not answer within {GATEWAY_SECONDS:.0f} s")
    if not protocol.was_up:
        remedy = "its keys and the geometry must be those of the network: take the network's own client.toml"
        return Finding(Level.WRONG, "gateway", f"{choice.name}: {protocol.end}", remedy)
    text = f"{choice.name} answers in {trio.current_time() - began:.1f} s"
    skew = protocol.clock_skew
    if abs(skew) > SKEW_SECONDS:
        text += f"; this machine's clock is {duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} its clock"
        return Finding(Level.DOUBTFUL, "gateway", text, "set this machine's clock, as by timedatectl set-ntp true")
    return _document(config, period, text, answer)


def _document(config: ClientConfig, period: float, text: str, answer: FetchResult | None) -> Finding:
    """Whether what a gateway answered is the network's document."""
    if answer is None:
        return Finding(Level.DOUBTFUL, "gateway", f"{text}; it gave no document within {GATEWAY_SECONDS:.0f} s")
    if not isinstance(answer, Fetched):
        remedy = f"compare the period, {duration(period)}, and this clock with the network's; or it is just starting"
        return Finding(Level.WRONG, "gateway", f"{text}; it has no document of epoch {answer.epoch}", remedy)
    verifiers = [authority.verifier() for authority in config.authorities]
    trusted = TrustedDocuments(EpochClock(period), verifiers, config.geometry)
    try:
        verified = trusted.verify(answer.decompress(), answer.epoch, time.time())
    except MixnetError as error:
        remedy = "compare authorities, geometry and period with the network's own client.toml"
        return Finding(Level.WRONG, "gateway", f"{text}; its document cannot be used: {error}", remedy)
    signed = f"signed by {verified.signatures} of {len(verifiers)} authorities"
    return Finding(Level.GOOD, "gateway", f"{text}; its document of epoch {answer.epoch} is {signed}")


async def _asked(stream: trio.abc.Stream, protocol: LinkProtocol, epoch: int) -> FetchResult | None:
    """Shake hands, and ask for the document of `epoch`; None where no answer came, or the handshake failed."""
    answers: list[FetchResult] = []
    async with trio.open_nursery() as nursery:

        def ask_once_up() -> None:
            if protocol.was_up and not answers and not protocol.is_asking and protocol.end is None:
                protocol.ask(epoch, trio.current_time())
                nursery.start_soon(link.flush)

        def answered(result: FetchResult) -> None:
            answers.append(result)
            nursery.cancel_scope.cancel()

        link = GatewayLink(
            stream,
            protocol,
            wall_clock=time.time,
            on_message=lambda surb_id, payload: None,
            on_answer=answered,
            on_progress=ask_once_up,
        )
        await link.run()
    return answers[0] if answers else None
