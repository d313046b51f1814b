"""Writes what is generated from the parsers of the commands, and manual pages of files: docs/man, docs/commands.md."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from kpclientd import cli
from kpclientd.completion import PROGRAMS, SHELLS, completion
from kpclientd.config.client_file import ClientFile
from kpclientd.config.declared import Declared, Table, declared_keys
from kpclientd.config.dial import DialFile
from kpclientd.config.toml import toml_value
from kpclientd.localnet.options import LOOPIX
from kpclientd.loopix.arguments import PROGRAM as LOOPIX_PROGRAM
from kpclientd.loopix.commands import DIRECTORY_VARIABLE, PROFILE_VARIABLE
from kpclientd.loopix.simulator.cli import build_parser as loopix_localnet_parser
from kpclientd.version import release
from kpclientd.whole_parser import PROGRAM, command_parsers, loopix_parser
from pki.epoch import PERIOD_KEY, PERIOD_VARIABLE
from sphinx.native.engines import ENGINE_VARIABLE
from tests.support.command_walk import Described, Entry, Section, described
from tests.support.configuration_page import capitalised, sentence, type_names
from tests.support.roff import bold, entry, header, heading, literal, paragraph, quoted, unfilled

ROOT: Final = Path(__file__).resolve().parents[2]
MANUAL: Final = ROOT / "docs" / "man"
COMMANDS_PAGE: Final = ROOT / "docs" / "commands.md"
COMPLETIONS: Final = ROOT / "configs" / "completions"
COMMAND: Final = "make docs"

SUMMARY: Final = "client daemon of the Katzenpost mix network"
LOOPIX_SUMMARY: Final = "client of the Loopix mix networks of 2019"

_SCRIPTS: Final = tuple((program, shell) for program in PROGRAMS for shell in SHELLS)
_SOURCE: Final = f"{PROGRAM} {release()}"
_COMMANDS: Final = 1
_FILES: Final = 5

ENVIRONMENT: Final = (
    Entry(PERIOD_VARIABLE, f"the epoch period, such as 20m, where the configuration has no {PERIOD_KEY}; deprecated"),
    Entry(ENGINE_VARIABLE, "which engine makes packets; kpclientd --version tells which one does"),
)
_LOOPIX_ENVIRONMENT: Final = (
    Entry(PROFILE_VARIABLE, "the generation of the network, where --profile does not say"),
    Entry(DIRECTORY_VARIABLE, "URL of the topology, where --directory does not say"),
)
_SIGNALS: Final = (
    Entry("SIGTERM, SIGINT", "the daemon ends"),
    Entry("SIGHUP", "it opens its log anew, and reads its configuration again"),
)
_STATUSES: Final = (
    Entry("0", "stopped by a signal; with --validate-only: the file is valid"),
    Entry("78", "the configuration is no good; standard error says what and where"),
    Entry("1", "any other error"),
)


def files() -> dict[Path, str]:
    """All generated files and what is to be in them."""
    commands = _described_commands()
    pages = {
        f"{PROGRAM}.1": _daemon_page(commands),
        **{
            f"{command.name.replace(' ', '-')}.1": _command_page(command, _more(command))
            for command in commands
            if not _is_loopix(command)
        },
        f"{LOOPIX_PROGRAM}.1": _loopix_page(),
        "client.toml.5": _file_page("client.toml", "configuration of kpclientd", ClientFile, _CLIENT_FILE),
        "thinclient.toml.5": _file_page(
            "thinclient.toml", "where applications find kpclientd", DialFile, "Any other key is refused."
        ),
    }
    return {
        **{MANUAL / name: text for name, text in pages.items()},
        **{COMPLETIONS / script_name(program, shell): completion(program, shell) for program, shell in _SCRIPTS},
        COMMANDS_PAGE: _markdown_page(commands),
    }


def script_name(program: str, shell: str) -> Path:
    """A completion's file by the name that its shell looks for."""
    name = {"bash": program, "zsh": f"_{program}", "fish": f"{program}.fish"}[shell]
    return Path(shell, name)


_CLIENT_FILE: Final = (
    "Keys are matched in any case of letters; values have exactly the type given. At start a key that nobody knows is "
    "only warned of, unless it may have been meant for a proxy; kpclientd config check refuses it, and names the "
    "nearest key. kpclientd config init writes an example with every key explained. Ours are keys that the reference "
    "does not have. Keys marked SIGHUP take effect once the daemon gets that signal; all others wait for a restart."
)


def _described_commands() -> tuple[Described, ...]:
    return tuple(described(parser, summary) for _, summary, parser in command_parsers())


def _is_loopix(command: Described) -> bool:
    return command.name == f"{PROGRAM} loopix"


def _more(command: Described) -> tuple[Described, ...]:
    """What a command does under another option."""
    if command.name != f"{PROGRAM} localnet":
        return ()
    return (described(loopix_localnet_parser(), f"with --family {LOOPIX}"),)


def _daemon_page(commands: tuple[Described, ...]) -> str:
    daemon = described(cli.build_parser(), SUMMARY)
    listed = (*(Entry(f"{command.name} ...", command.summary) for command in commands),)
    options = tuple(section for section in daemon.sections if not section.title.startswith("commands"))
    return _text(
        *_top(PROGRAM, SUMMARY, daemon.usage),
        heading("description"),
        *paragraph(daemon.description),
        *_sections(options),
        *_sections([Section("commands", listed)]),
        *paragraph(f"Each has a manual page of its own, such as {PROGRAM}-config(1)."),
        *_sections(
            [
                Section("signals", _SIGNALS),
                Section("exit status", _STATUSES),
                Section("environment", ENVIRONMENT),
                Section("files", (Entry("/etc/kpclientd/client.toml", "what the service reads"),)),
            ]
        ),
        heading("see also"),
        _references(
            [
                *(command.name.replace(" ", "-") for command in commands if not _is_loopix(command)),
                LOOPIX_PROGRAM,
            ],
            ["client.toml", "thinclient.toml"],
        ),
    )


def _command_page(command: Described, more: tuple[Described, ...]) -> str:
    return _text(
        *_top(command.name.replace(" ", "-"), command.summary, command.usage),
        heading("description"),
        *paragraph(command.description),
        *_sections(command.sections, below="exit status"),
        *_inner_commands(command),
        *(line for other in more for line in _other_use(other)),
        *_sections(command.sections, only="exit status"),
        heading("see also"),
        _references([PROGRAM], ["client.toml", "thinclient.toml"]),
    )


def _loopix_page() -> str:
    client = described(loopix_parser(LOOPIX_PROGRAM), LOOPIX_SUMMARY)
    return _text(
        *_top(LOOPIX_PROGRAM, LOOPIX_SUMMARY, client.usage),
        heading("description"),
        *paragraph(client.description),
        *paragraph(f"{PROGRAM} loopix is the same. Options are read as --name value, never as --name=value."),
        *_inner_commands(client),
        *_sections([Section("environment", _LOOPIX_ENVIRONMENT)]),
        heading("see also"),
        _references([PROGRAM], []),
    )


def _file_page(name: str, summary: str, table: type[Table], description: str) -> str:
    return _text(
        *_top(name, summary, [f"{PROGRAM} --config {name}" if table is ClientFile else name], section=_FILES),
        heading("description"),
        *paragraph(description),
        heading("keys"),
        *_keys(table, ""),
        *_sections([Section("environment", ENVIRONMENT[:1])] if table is ClientFile else []),
        heading("see also"),
        _references([PROGRAM, f"{PROGRAM}-config"], []),
    )


def _keys(table: type[Table], name: str) -> Iterator[str]:
    keys = declared_keys(table)
    for declared in keys:
        if declared.table is None:
            yield from entry(declared.key, _said(declared))
    for declared in keys:
        if declared.table is None:
            continue
        dotted = f"{name}.{declared.key}" if name else declared.key
        yield heading(f"[[{dotted}]]" if declared.is_array else f"[{dotted}]", is_inner=True)
        yield from paragraph(f"{capitalised(_plain(sentence(declared)))}.".replace("..", "."))
        yield from _keys(declared.table, dotted)


def _said(declared: Declared) -> str:
    about = declared.about
    if about.refusal is not None:
        return f"Refused: {about.refusal[0].removeprefix('config: ').removesuffix('.')}."
    default = about.default or ("none" if about.required else toml_value(declared.default))
    told = "required" if about.required and not about.default else f"default {default}"
    example = "" if about.example is None else toml_value(about.example)
    shown = f" Example: {example}" if example and "\n" not in example else ""
    return f"{capitalised(_plain(sentence(declared)))}. ({type_names(declared)}; {_plain(told)}){shown}".replace(
        "..", "."
    )


def _plain(text: str) -> str:
    """A text without the marks of Markdown."""
    return text.replace("`", "").replace("*", "")


def _top(name: str, summary: str, usage: Iterable[str], section: int = _COMMANDS) -> Iterator[str]:
    yield f'.\\" {COMMAND} writes this file.'
    yield header(name, section, _SOURCE, f"{PROGRAM} manual")
    yield heading("name")
    yield f"{literal(name)} \\- {literal(summary)}"
    yield heading("synopsis")
    for line in usage:
        yield ".PP"
        yield bold(line)


def _sections(sections: Iterable[Section], *, below: str = "", only: str = "") -> Iterator[str]:
    for section in sections:
        if (section.title == below) if below else (section.title != only) if only else False:
            continue
        yield heading(section.title or "notes", is_inner=section.is_inner)
        if section.lines:
            yield from unfilled(section.lines)
        for each in section.entries:
            yield from entry(each.word, each.text)


def _inner_commands(command: Described) -> Iterator[str]:
    if not command.commands:
        return
    yield heading("commands")
    for inner in command.commands:
        yield heading(inner.name.removeprefix(f"{command.name} "), is_inner=True)
        yield from _uses(inner)


def _other_use(other: Described) -> Iterator[str]:
    yield heading(other.summary)
    yield from _uses(other)


def _uses(command: Described) -> Iterator[str]:
    for line in command.usage:
        yield ".PP"
        yield bold(line)
    yield from paragraph(command.description)
    for section in command.sections:
        if section.title != "exit status":  # told once, for all of them
            for each in section.entries:
                yield from entry(each.word, each.text)


def _references(commands: Iterable[str], files: Iterable[str]) -> str:
    named = [(name, _COMMANDS) for name in commands] + [(name, _FILES) for name in files]
    lines = [f".BR {quoted(name)} ({section})" for name, section in named]
    return "\n".join([*(f"{line}," for line in lines[:-1]), lines[-1]])


def _text(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _markdown_page(commands: tuple[Described, ...]) -> str:
    daemon = described(cli.build_parser(), SUMMARY)
    options = tuple(section for section in daemon.sections if not section.title.startswith("commands"))
    listed = Section("", tuple(Entry(command.name, command.summary) for command in commands))
    return "\n".join(
        [
            "# Command line\n",
            f"`{COMMAND}` writes this page from the commands' parsers, and the manual pages in [man](man) as well:",
            f"`man {PROGRAM}`, `man {PROGRAM}-config`, `man client.toml`.\n",
            f"## {PROGRAM}\n",
            *_markdown_body(
                Described(
                    PROGRAM,
                    SUMMARY,
                    daemon.usage,
                    daemon.description,
                    (
                        *options,
                        Section("commands", listed.entries),
                        Section("signals", _SIGNALS),
                        Section("exit status", _STATUSES),
                        Section("environment", ENVIRONMENT),
                    ),
                    (),
                )
            ),
            *(line for command in commands for line in _markdown(command, "##")),
        ]
    )


def _markdown(command: Described, level: str) -> Iterator[str]:
    yield f"{level} {command.name}\n"
    yield from _markdown_body(command)
    for inner in (*command.commands, *_more(command)):
        new = tuple(section for section in inner.sections if section not in command.sections)
        yield from _markdown(replace(inner, sections=new), f"{level}#")


def _markdown_body(command: Described) -> Iterator[str]:
    yield from (f"    {line}" for line in command.usage)
    yield ""
    if command.description:
        yield f"{command.description}\n"
    for section in command.sections:
        if section.title:
            yield f"**{capitalised(section.title)}**\n"
        if section.lines:
            yield from (f"    {line}" for line in section.lines)
            yield ""
        if section.entries:
            yield "| | |\n| --- | --- |"
            yield from (f"| `{_cell(each.word)}` | {_cell(each.text)} |" for each in section.entries)
            yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    written = files()
    for stale in {*MANUAL.glob("*.[15]"), *COMPLETIONS.glob("*/*")} - set(written):
        stale.unlink()
    for path, content in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
