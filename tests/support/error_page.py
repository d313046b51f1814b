"""Writes docs/error-codes.md: what the daemon's codes mean to an application, and the exit statuses of all commands.

Which request may be answered with which code is read off the table of verbs, exit statuses off the commands' help.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpclientd.cli import FAILED, MISCONFIGURED, OK
from kpclientd.commands.table import COMMANDS
from kpclientd.pigeonhole.codes import ReplicaCode
from kpclientd.thin.events import INTERNAL_ERROR, INVALID_REQUEST, MAX_RETRIES
from kpclientd.thin.verbs.table import TABLE

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "error-codes.md"
COMMAND: Final = "make docs"
EXCHANGE: Final = "start_resending_encrypted_message"
BOTH_SERIES: Final = (INVALID_REQUEST, INTERNAL_ERROR)
"""Numbers of the daemon's that an exchange's answer may carry, though they are a replica's as well."""

MOST_NAMED: Final = 4
"""Requests that are named; more are only counted."""

IN_EVENTS: Final = {MAX_RETRIES: "`send_arq_message`, in its `message_reply_event`"}
"""What is said in an event, and so by no verb's answer."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A code's text, and what an application does about it."""

    text: str
    advice: str


THIN_CODES: Final = (
    Meaning("Success", "Go on."),
    Meaning("Connection lost", "Libraries say it themselves: wait for the daemon, and ask again."),
    Meaning("Timeout", "Libraries say it themselves: ask again."),
    Meaning(
        "Invalid request",
        "A field is missing, of a wrong length, or too long. Mend the request; asking again does not help.",
    ),
    Meaning("Internal error", "The daemon, its courier or its replicas failed; its log says why. Try again later."),
    Meaning("Maximum retries exceeded", "A reliable message of an old client was sent until it gave up. Ask later."),
    Meaning("Invalid channel", "The channel API of 2025 is gone: use Pigeonhole's requests."),
    Meaning("Channel not found", "Of the channel API of 2025."),
    Meaning("Permission denied", ""),
    Meaning("Invalid payload", ""),
    Meaning(
        "Service unavailable",
        "No document, no usable replicas, no authorities in the configuration, or no packages for storage: the log says"
        " which. Wait until the daemon is online, and try again.",
    ),
    Meaning("Duplicate capability", "Of the channel API of 2025."),
    Meaning("Courier cache corruption", "The courier's trouble: make a new query, and try again."),
    Meaning("Courier propagation error", "The courier did not reach its replicas: make a new query, and try again."),
    Meaning("Invalid write capability", "This daemon says 3 instead."),
    Meaning("Invalid read capability", "This daemon says 3 instead."),
    Meaning("Invalid resume write channel request", "Of the channel API of 2025."),
    Meaning("Invalid resume read channel request", "Of the channel API of 2025."),
    Meaning("Impossible hash error", ""),
    Meaning("Failed to create new write capability", ""),
    Meaning("Failed to create new stateful writer", ""),
    Meaning("Capability already in use", "Of the channel API of 2025."),
    Meaning("MKEM decryption failed", "The reply does not open: make a new query, and try again."),
    Meaning("BACAP decryption failed", "The box is not what the capability demands: another stream's, or forged."),
    Meaning("Start resending cancelled", "The application itself cancelled it, or too many operations were under way."),
    Meaning("Invalid tombstone signature", "A replica says that the box is deleted, and does not prove it."),
    Meaning(
        "Copy command failed", "`replica_error_code` says why, `failed_envelope_index` where. See the table below."
    ),
    Meaning("Payload too large", "This daemon says 3 instead."),
    Meaning("Voucher payload does not hash to the voucher", "Somebody exchanged the payload: do not go on."),
    Meaning("Voucher signed please-add did not verify", "It is not signed by the stream's owner: do not go on."),
    Meaning("Voucher sealed reply could not be opened", "It is for another voucher, or damaged."),
    Meaning("Courier rejected the envelope as malformed", "Make a new query; if it comes again, report it."),
    Meaning(
        "Courier rejected the envelope: replica epoch outside tolerance window",
        "The query is of another week, or a clock is wrong: make a new one.",
    ),
    Meaning(
        "Message box index is not on the capability's stream",
        "The place is another stream's, or before the capability's own.",
    ),
    Meaning(
        "Message box index is too far ahead of the capability to check",
        "Over 262,144 boxes ahead: give the daemon a capability at that place.",
    ),
)
"""What the numbers mean; their texts are those that the newest Python library shows."""

REPLICA_CODES: Final = {
    ReplicaCode.SUCCESS: "Go on.",
    ReplicaCode.BOX_NOT_FOUND: "A normal outcome, only where the request does not wait: ask again later.",
    ReplicaCode.INVALID_BOX_ID: "The capability is not accepted: do not try again.",
    ReplicaCode.INVALID_SIGNATURE: "The capability is not accepted; or, from the daemon, an invalid request (3 above).",
    ReplicaCode.DATABASE_FAILURE: "Try again later; or, from the daemon, an internal error (4 above).",
    ReplicaCode.INVALID_PAYLOAD: "The box has another length than this network's: make a new query.",
    ReplicaCode.STORAGE_FULL: "No room: try again later.",
    ReplicaCode.INTERNAL_ERROR: "Make a new query, and try again.",
    ReplicaCode.INVALID_EPOCH: "The query is of another week: make a new one.",
    ReplicaCode.REPLICATION_FAILED: "Make a new query, and try again.",
    ReplicaCode.BOX_ALREADY_EXISTS: "A normal outcome, only where the request asks for it: take the next box.",
    ReplicaCode.TOMBSTONE: "A normal outcome: the box was deleted, take the next one.",
}

_INTRODUCTION: Final = f"""# Error codes

`{COMMAND}` writes this file from the tables that the code uses.

Every answer to a request has an `error_code`, one byte; 0 is success. Libraries turn the others into exceptions. Events
about messages have no code but a text, `err`. In the answers to `{EXCHANGE}` the numbers 1 to 11
are a storage replica's, which have [a table of their own](#codes-of-replicas).

What the daemon cannot read at all (no frame, no CBOR, a field of a wrong type) has no code: the connection ends.

## Codes of the daemon
"""

_REPLICAS: Final = f"""
## Codes of replicas

In the answers to `{EXCHANGE}`, and in `replica_error_code` of an answer with code 26.
The numbers 3 and 4 are the daemon's as well; the protocol does not tell which.

| code | name | what to do |
| ---: | --- | --- |"""

_STATUSES: Final = """
## Exit statuses

| command | status | meaning |
| --- | ---: | --- |"""

DAEMON: Final = (
    (OK, "stopped by SIGTERM or SIGINT; with `--validate-only`: the file is good"),
    (FAILED, "any other error, wrong usage included; with `--validate-only`: the file is not good"),
    (MISCONFIGURED, "the configuration keeps it from starting; standard error says what and where"),
)

_SECTION: Final = re.compile(r"^exit status:\n((?:  .*\n?)+)", re.MULTILINE)
_STATUS: Final = re.compile(r"^  (\d+) +(.*(?:\n {4,}.*)*)", re.MULTILINE)


def page() -> str:
    """Return docs/error-codes.md."""
    return "\n".join([_INTRODUCTION, *_daemon(), _REPLICAS, *_replicas(), _STATUSES, *_statuses(), ""])


def codes_of_verbs() -> dict[int, list[str]]:
    """The requests that may be answered with each code, in the order of the table."""
    verbs: dict[int, list[str]] = defaultdict(list)
    for verb in TABLE:
        for code in verb.codes:
            if verb.name != EXCHANGE or code not in list(ReplicaCode)[1:] or code in BOTH_SERIES:
                verbs[int(code)].append(verb.name)
    return verbs


def _daemon() -> Iterator[str]:
    verbs = codes_of_verbs()
    yield "| code | text | what to do | said to |"
    yield "| ---: | --- | --- | --- |"
    for code, meaning in enumerate(THIN_CODES):
        yield f"| {code} | {meaning.text} | {meaning.advice} | {_said_to(code, verbs.get(code, []))} |"


def _said_to(code: int, names: list[str]) -> str:
    if not names:
        return IN_EVENTS.get(code, "nobody")
    if len(names) > MOST_NAMED:
        return f"{len(names)} requests"
    return ", ".join(f"`{name}`" for name in names)


def _replicas() -> Iterator[str]:
    for code, advice in REPLICA_CODES.items():
        yield f"| {code.value} | {code.name.lower().replace('_', ' ')} | {advice} |"


def _statuses() -> Iterator[str]:
    for status, meaning in DAEMON:
        yield f"| `kpclientd --config` | {status} | {meaning} |"
    for name, parser in ((command.name, command.build_parser()) for command in COMMANDS):
        if parser is not None and (section := _SECTION.search(f"{parser.epilog}\n")):
            for number, meaning in _STATUS.findall(section[1]):
                yield f"| `kpclientd {name}` | {number} | {' '.join(meaning.split())} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}\n")
