"""A well-known name on the session bus, owned while the daemon runs, so that desktop programs can ask for the daemon.

A program that pings the name has the bus start the service that belongs to it. The name means that the process runs,
not that the network is reached. Nothing is offered but `org.freedesktop.DBus.Peer`, which every participant answers.

A name that another process owns is an error: two daemons would be one too many. Any other failure, that there is no
bus or nobody answers, is said, and the daemon goes on without the name.

Source: the Katzenpost client daemon, "D-Bus"; the D-Bus specification, "Message Bus Messages", "Standard Interfaces".
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from kpclientd.errors import KpclientdError

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.trio import DBusConnection

log = logging.getLogger("kpclientd/dbus")

OWN_SECONDS: Final = 10.0
"""For connecting, introducing ourselves and asking for the name."""

BUS_VARIABLE: Final = "DBUS_SESSION_BUS_ADDRESS"
PEER: Final = "org.freedesktop.DBus.Peer"
UNKNOWN_METHOD: Final = "org.freedesktop.DBus.Error.UnknownMethod"
REMEDY: Final = "pip install 'kpclientd[dbus]'"

_MACHINE_ID: Final = Path("/etc/machine-id")
_NO_REPLY_EXPECTED: Final = 1
"""A flag of messages."""

_DO_NOT_QUEUE: Final = 4
"""A flag of RequestName; further ones would take the name from another, or let it be taken."""

_IS_OWNER: Final = 1
_IS_ANOTHERS: Final = 3
"""Answers to RequestName."""


class NameTakenError(KpclientdError):
    """Another process owns the name."""


async def own_name(name: str) -> "DBusConnection | None":
    """Own `name`; the connection to the bus that holds it, or None where that was not possible, which is said.

    Raises:
        NameTakenError: another process owns it.
    """
    try:
        with trio.fail_after(OWN_SECONDS):
            return await _own(name)
    except ImportError:
        reason = f"the package jeepney is missing; {REMEDY}"
    except trio.TooSlowError:
        reason = f"the bus did not answer within {OWN_SECONDS:.0f} s"
    except _NoBusError as error:
        reason = str(error)
    log.warning('not owning dbus name "%s": %s', name, reason)
    return None


async def answer_calls(connection: "DBusConnection") -> None:
    """Answer what others ask until the bus ends the connection, or for ever."""
    try:
        while True:
            await _answer(connection, await connection.receive())
    except (trio.EndOfChannel, trio.BrokenResourceError, OSError):
        log.warning("The session bus has ended; the daemon goes on without its name there.")


class _NoBusError(KpclientdError):
    """Why there is no bus, or no name on it."""


async def _own(name: str) -> "DBusConnection":
    from jeepney import HeaderFields, message_bus
    from jeepney.auth import AuthenticationError
    from jeepney.io.trio import open_dbus_connection

    if BUS_VARIABLE not in os.environ:
        raise _NoBusError(f"there is no session bus, {BUS_VARIABLE} is not set")
    try:
        connection = await open_dbus_connection("SESSION")
    except (OSError, AuthenticationError, RuntimeError, ValueError, trio.BrokenResourceError) as error:
        raise _NoBusError(f"no session bus can be reached at {os.environ[BUS_VARIABLE]}: {error}") from error
    is_owned = False
    try:
        serial = next(connection.outgoing_serial)
        await connection.send(message_bus.RequestName(name, _DO_NOT_QUEUE), serial=serial)
        while (message := await connection.receive()).header.fields.get(HeaderFields.reply_serial) != serial:
            await _answer(connection, message)  # the call for whose sake the bus has started us comes first
        is_owned = _is_owned(name, message)
    except (trio.EndOfChannel, trio.BrokenResourceError) as error:
        raise _NoBusError("the bus has ended the connection") from error
    finally:
        if not is_owned:
            await connection.aclose()
    return connection


def _is_owned(name: str, answer: "Message") -> bool:
    from jeepney import MessageType

    if answer.header.message_type is MessageType.error:
        raise _NoBusError(f"the bus refuses: {answer.body[0] if answer.body else 'it does not say why'}")
    if answer.body == (_IS_ANOTHERS,):
        raise NameTakenError(f'failed to own dbus name "{name}": another process owns it; is a daemon running already?')
    if answer.body != (_IS_OWNER,):
        raise _NoBusError(f"the bus answers {answer.body!r}")
    return True


async def _answer(connection: "DBusConnection", message: "Message") -> None:
    """Answer a message, if it is a call that wants it."""
    from jeepney import MessageType

    wants_reply = not message.header.flags & _NO_REPLY_EXPECTED
    if message.header.message_type is MessageType.method_call and wants_reply:
        await connection.send(_reply(message))


def _reply(message: "Message") -> "Message":
    """The answer to a call."""
    from jeepney import HeaderFields, new_error, new_method_return

    fields = message.header.fields
    method = fields.get(HeaderFields.member, "")
    if fields.get(HeaderFields.interface, PEER) == PEER:
        if method == "Ping":
            return new_method_return(message)
        if method == "GetMachineId":
            return new_method_return(message, "s", (_machine_id(),))
    return new_error(message, UNKNOWN_METHOD, "s", (f"there is no method {method}",))


def _machine_id() -> str:
    try:
        return _MACHINE_ID.read_text().strip()
    except OSError:
        return ""
