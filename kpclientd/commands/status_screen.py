"""How `kpclientd status` looks: sections of rows, 80 columns wide, coloured where a terminal shows colours."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kpclientd.client.daemon_status import ToldStatus
from kpclientd.commands.meter import amount
from kpclientd.commands.terminal import duration

WIDTH: Final = 79
LABEL_WIDTH: Final = 12
MOST_SHOWN: Final = 8
"""Applications, and reasons for drops; --json has them all."""

GOOD: Final = "green"
BAD: Final = "bold red"
DOUBTFUL: Final = "yellow"
HEADING: Final = "bold"
FAINT: Final = "dim"

_SKEW_SECONDS: Final = 2.0
"""Gateways tell whole seconds."""

Fields = Mapping[str, Any]
Row = tuple[str, Text | str]


def draw(told: ToldStatus, before: ToldStatus | None = None, elapsed: float = 0.0) -> RenderableType:
    """The screen.

    Args:
        told: what the daemon tells.
        before: what it told last, for rates; None for none.
        elapsed: since then (seconds).
    """
    fields = told.fields
    parts: list[RenderableType] = [_title(fields), _rows(_network(fields))]
    if told.is_whole:
        rates = _rates(fields, before.fields, elapsed) if before is not None and before.is_whole else None
        parts.append(_rows(_traffic(fields, rates)))
        parts.append(_applications(fields))
        if drops := {reason: count for reason, count in fields["drops"].items() if count}:
            parts.append(_drops(drops))
    else:
        parts.append(Text("\nWhat applications do is shown to who runs the daemon, and to root.", style=FAINT))
    return Group(*parts)


def _title(fields: Fields) -> Text:
    versions = fields["versions"]
    up = duration(fields["time"]["now"] - fields["started_at"])
    return Text.assemble(
        (f"kpclientd {versions['kpclientd']}", HEADING),
        f", up {up}, process {fields['process']}, Python {versions['python']}\n",
        (f"packets by {versions['engine']}; {fields['configuration']}", FAINT),
        end="\n\n",
    )


def _network(fields: Fields) -> Iterator[Row]:
    now = fields["time"]["now"]
    yield "gateway", _gateway(fields["link"], now)
    if (end := fields["link"]["last_end"]) is not None:
        yield "", Text(f"last end {_clock(end['at'])}, {end['gateway']}: {end['reason']}", style=FAINT)
    yield "epoch", _epoch(fields, now)
    yield "document", _documents(fields)
    yield "clock", _time(fields["time"])
    usage = fields["usage"]
    used, most = usage["connections"]
    yield (
        "in use",
        f"{used} of {most} connections; messages {amount(usage['message_bytes'][0])}, "
        f"unread {amount(usage['unread_bytes'][0])}",
    )


def _gateway(link: Fields, now: float) -> Text:
    tried = f"; link {link['links']}" if link["links"] else ""
    tried += f", {link['failures']} tries failed" if link["failures"] else ""
    if link["gateway"] is not None:
        return Text.assemble(
            (str(link["gateway"]), GOOD), f" for {duration(now - link['since'])}, since {_clock(link['since'])}", tried
        )
    waits = f", next try in {duration(link['next_try'] - now)}" if link["next_try"] is not None else ""
    return Text.assemble(("offline", BAD), f": {link['state']}{waits}", tried)


def _epoch(fields: Fields, now: float) -> str | Text:
    epoch, period = fields["epoch"], fields["period"]
    if epoch is None:
        return Text("none: the clock stands before the first", style=BAD)
    return f"{epoch}, of {duration(period)} each; the next in {duration(_epoch_end(fields) - now)}"


def _epoch_end(fields: Fields) -> float:
    return float(fields["epoch_began_at"] + fields["period"])


def _documents(fields: Fields) -> Text:
    current = next((document for document in fields["documents"] if document["is_current"]), None)
    if current is None:
        return Text("none that packets can be made by", style=BAD)
    behind = fields["epoch"] - current["epoch"] if fields["epoch"] is not None else 0
    age = "of this epoch" if not behind else f"{behind} epoch{'s' if behind > 1 else ''} old"
    told = Text.assemble(
        (age, GOOD if not behind else DOUBTFUL),
        f", {current['signatures']} of {current['authorities']} signatures, {amount(current['length'])}",
    )
    if any(fields["epoch"] is not None and document["epoch"] > fields["epoch"] for document in fields["documents"]):
        told.append("; the next one is here")
    return told


def _time(clocks: Fields) -> Text:
    skew, correction = clocks["skew"], clocks["correction"]
    if skew is None:
        told = Text("not compared with a gateway's yet")
    elif abs(skew) <= _SKEW_SECONDS:
        told = Text("as the gateway's", style=GOOD)
    else:
        told = Text(f"{duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the gateway's", style=DOUBTFUL)
    if abs(correction) > _SKEW_SECONDS:
        told.append(f"; corrected by {duration(abs(correction))}")
    if clocks["steps"] or clocks["sleeps"]:
        told.append(f"; {clocks['steps']} steps, {clocks['sleeps']} suspends")
    return told


def _traffic(fields: Fields, rates: Mapping[str, float] | None) -> Iterator[Row]:
    traffic = fields["traffic"]
    means = ", ".join(f"{name} {mean} ms" for name, mean in traffic["mean_interval_ms"].items() if mean)
    yield "sending", f"every {means} on average" if means else Text("nothing is sent", style=BAD)
    sent = {name: traffic[key] for name, key in _SENT}
    told = ", ".join(f"{count:,} {name}" for name, count in sent.items())
    if rates is not None:
        told += f"; {sum(rates.values()):.1f} packets a second now"
    yield "sent", told
    operations = fields["operations"]
    counts = ", ".join(
        f"{count} {state}"
        for kind in operations
        for state, count in operations[kind].items()
        if kind != "decoy" and state not in _TOLD_APART
    )
    yield "messages", f"{fields['waiting']} wait, {fields['in_flight']} in flight{counts and f' ({counts})'}"
    surbs = fields["surbs"]
    yield (
        "answers",
        f"{surbs['delivered'] - fields['decoys_returned']:,} came, {fields['decoys_returned']:,} decoys returned, "
        f"{fields['retransmissions']:,} retransmissions",
    )


_TOLD_APART: Final = frozenset({"waiting", "in flight"})
_SENT: Final = (("messages", "messages"), ("decoys of λP", "decoys_p"), ("of λL", "decoys_l"))


def _rates(now: Fields, before: Fields, elapsed: float) -> Mapping[str, float]:
    return {key: (now["traffic"][key] - before["traffic"][key]) / elapsed for _, key in _SENT if elapsed > 0}


def _applications(fields: Fields) -> RenderableType:
    listed: Sequence[Fields] = fields["applications"]
    if not listed:
        return Text("\nno applications")
    table = Table(box=None, pad_edge=False, width=WIDTH, title_justify="left")
    table.add_column("application")
    table.add_column("there")
    for name in ("waiting", "resends", "messages", "bytes", "unread", "bytes"):
        table.add_column(name, justify="right")
    for one in listed[:MOST_SHOWN]:
        there = Text("yes", style=GOOD) if one["is_present"] else Text("away", style=DOUBTFUL)
        numbers = (one["waiting"], one["resends"], one["messages"], amount(one["message_bytes"]))
        table.add_row(one["name"], there, *map(str, numbers), str(one["unread"]), amount(one["unread_bytes"]))
    more = len(listed) - MOST_SHOWN + fields["further_applications"]
    return Group(Text(), table, Text(f"and {more} more")) if more > 0 else Group(Text(), table)


def _drops(drops: Mapping[str, int]) -> RenderableType:
    largest = sorted(drops.items(), key=lambda drop: -drop[1])
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for reason, count in largest[:MOST_SHOWN]:
        table.add_row(f"{count:,}", reason)
    return Group(Text("\ndropped since the start", style=HEADING), table)


def _rows(rows: Iterator[Row]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=LABEL_WIDTH, style=HEADING)
    table.add_column(width=WIDTH - LABEL_WIDTH - 1)
    for label, text in rows:
        table.add_row(label, text)
    return table


def _clock(unix_seconds: float) -> str:
    moment = time.localtime(unix_seconds)
    is_today = moment[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", moment)
