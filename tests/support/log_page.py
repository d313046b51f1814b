"""Writes docs/log-messages.md: what the log may say at NOTICE and above, read off the sources."""

import logging
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from kpclientd.log_levels import NOTICE
from tests.support.log_calls import VARIABLE, Said, messages

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "log-messages.md"
COMMAND: Final = "make docs"
PACKAGES: Final = ("kpclientd", "arq", "pki", "sphinx")
NOT_LOGGED: Final = ("kpclientd/localnet", "kpclientd/loopix/simulator")
"""Networks for tests say what they do elsewhere."""

LOGGERS: Final = {
    "client/conn": "the connection to a gateway",
    "client/dial": "dialling",
    "client/incomingConn": "a connection of an application",
    "client/listener": "sockets for applications, and their sessions",
    "client/pigeonhole": "storage",
    "client/pki": "the network's documents",
    "client/sender": "what leaves for the gateway",
    "katzenpost/client": "the daemon as a whole, its clock and its configuration",
    "kpclientd/dbus": "the name on the session bus",
    "kpclientd/service": "the service manager",
    "kpclientd/state": "the file of `[ARQ] StateFile`",
    "loopix": "the Loopix client",
    "loopix.client": "the Loopix client",
    "loopix.tcp-socket-server": "its applications by TCP",
    "loopix.websocket-server": "its applications by WebSocket",
    "sphinx.native.engines": "which engine makes packets",
}

MEANINGS: Final = {
    "…: …; next try in … s, and so on.": "What failed, with which gateway, and why. Said once for each reason; a link"
    " that holds makes it news again. Nothing to do unless it stays: then `kpclientd doctor`.",
    "Offline: waiting for ….": "Applications wait, or are refused. What is awaited, and from whom, stands behind it.",
    "No gateway has a document of the present epoch (…) …": "The authorities have not agreed, or this machine's clock"
    " or the epoch period is wrong: compare `EpochDuration` with the network's.",
    "Refused the document of epoch …: …": "Not signed by enough authorities of the configuration, damaged, or of"
    " another geometry. If every epoch is refused, the configuration is out of date: ask the network for a new one.",
    "There is no consensus document any more; the last one was of epoch ….": "Nothing is sent until there is one.",
    'The consensus document does not list gateway "…", or not with this key, and there is no other to go to: nothing'
    " can be sent.": "Ask the network's operators for a new configuration.",
    "The network's authorities ask for clients of version … or newer.": "Told once for each change; nothing follows.",
    "No cover traffic: …": "Nothing leaves at the ticks of decoys: an observer sees less traffic than usual.",
    "The document's LambdaP is …: packets are sent at the rates of the one before.": "The network's fault.",
    "All … places for applications are taken: a newcomer is turned away.": "An application opens connections and does"
    " not close them: `kpclientd status` shows which. `[Limits]` has the number.",
    "An application cannot be accepted: ….": "As a rule descriptors have run out: raise LimitNOFILE, or `ulimit -n`.",
    "An application's connection ended by a fault of the daemon.": "Please report it, and the lines behind it.",
    "A connection was refused by a fault of the daemon.": "Please report it, and the lines behind it.",
    "An application that is away is forgotten before its time: … are away and keep … bytes.": "What came for it is"
    " lost. `[Limits]` has the bounds.",
    "Refused a …: …": "A request about storage; the remedy stands behind it.",
    "An exchange cannot go on: …": "The application is told 4.",
    "… is torn or altered; it is removed": "A stored document; another is fetched.",
    "… cannot be read: …": "A stored document: see to the permissions of `DataDir`.",
    "… cannot be removed: …": "A stored document: see to the permissions of `DataDir`.",
    "the document of epoch … cannot be kept in …: …": "See to the space and the permissions of `DataDir`.",
    "The document of epoch … cannot be pushed to applications: …": "It is too long for a frame of the protocol.",
    "This machine's clock is … s off the gateway's; epochs and routes go wrong by that.": "Set the clock, by NTP for"
    " instance; or `EnableTimeSync`.",
    "The gateway's clock is … s behind, before documents that were verified: ignored.": "The gateway's fault.",
    "A clock is not corrected by … s on a gateway's word; set it.": "More than an eighth of a period is not believed.",
    "This machine's clock stands before the first epoch; set it, or nothing can be sent.": "Set the clock.",
    "A request for the daemon's state failed by a fault of the daemon.": "Please report it, and the lines behind it.",
    "…: ….": "Where the status page is, or metrics are.",
    "The daemon ends by a fault of its own.": "Please report it, and the lines behind it; the manager starts it again.",
    'not owning dbus name "…": …': "The daemon goes on without it.",
    "There is no sign of life for the service manager: … has stopped.": "That part does not do its work;"
    " unless it goes on, the manager starts the daemon again.",
    "The service manager cannot be told anything: ….": "`NOTIFY_SOCKET` leads nowhere; the daemon goes on.",
    "SIGHUP: the configuration stays as it was: …": "The file has a fault: `kpclientd config check`.",
    "SIGHUP: the log stays where it was: …": "The log's file cannot be opened.",
    "State cannot be kept: …. Messages go on, and would not outlive the daemon; it is tried again every … s.": "The"
    " disk is full, or refuses.",
    "… is damaged in … places (bytes: …): what was there is lost. The file is kept as ….": "The disk, or somebody,"
    " altered it; what was whole goes on.",
    "…: …; it is kept as …, and nothing of it goes on": "The beginning of the file is damaged.",
    "Katzenpost is pre-alpha. DO NOT DEPEND ON IT FOR STRONG SECURITY OR ANONYMITY.": "Said at each start, and meant.",
    "… failed…: …": "Something of the Loopix client's, again and again: the network loses packets, or lacks a node.",
}
"""What a message means for whoever reads it, and what can be done; where the message says it, nothing stands here."""

ELSEWHERE: Final = {
    "kpclientd/cli.py": "a warning about the configuration, at the start",
    "kpclientd/reload.py": "a warning about the configuration, at SIGHUP",
    "kpclientd/service.py": "a warning about where the epoch period comes from",
}
"""What is said where all of a message comes from elsewhere."""

_INTRODUCTION: Final = f"""# Log messages

`{COMMAND}` writes this file from the sources: everything that is said at NOTICE, which is the default level, and above.
`{VARIABLE}` stands for what differs. INFO and DEBUG are for whoever looks into the code.

A line has the time, the level, the logger and the message; in the journal a priority and no time
([Logs](service.md#logs)). Loggers have the names of the reference's modules. `[Logging]` of the
[configuration](configuration.md) says where the log goes and from which level on. Messages, keys, capabilities, SURBs
and tokens are never logged, at no level; ids and destinations only at DEBUG.
"""


def page() -> str:
    """Return docs/log-messages.md."""
    said = messages(PACKAGES, without=NOT_LOGGED)
    return "\n".join([_INTRODUCTION, *_sections(said)])


def unused(said: list[Said]) -> set[str]:
    """Explanations of messages that nobody says any more, and of loggers that are gone."""
    explained = {*MEANINGS, *ELSEWHERE}
    return explained - {message.text for message in said} - {message.module for message in said}


def _sections(said: list[Said]) -> Iterator[str]:
    for logger, group in groupby(said, key=lambda message: message.logger):
        about = LOGGERS.get(logger, "")
        yield f"## {logger}\n"
        if about:
            yield f"{about[:1].upper()}{about[1:]}.\n"
        yield "| level | message | what it means |"
        yield "| --- | --- | --- |"
        for message in group:
            text = f"`{message.text}`" if message.text != VARIABLE else f"({ELSEWHERE.get(message.module, 'varies')})"
            yield f"| {_level(message.level)} | {text} | {MEANINGS.get(message.text, '')} |"
        yield ""


def _level(number: int) -> str:
    return "NOTICE" if number == NOTICE else logging.getLevelName(number)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}\n")
