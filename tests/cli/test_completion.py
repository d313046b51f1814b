"""What `kpclientd completion` prints completes lines in the shells themselves."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kpclientd.cli import HELP, VERSION
from kpclientd.command_parser import commands_of
from kpclientd.commands.table import COMMANDS
from kpclientd.completion import PROGRAMS, SHELLS, completion, main
from kpclientd.whole_parser import whole_parser

SECONDS = 60
"""That a shell may take on a busy machine."""

_BASH = """
source "$SCRIPT"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
function=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
_FISH = 'source "$SCRIPT"; complete -C (string join " " -- $argv) | string replace -r "\\t.*" ""; true'
_ZSH = """
fpath=("${SCRIPT:h}" $fpath); autoload -Uz compinit; compinit -u -D
kpclientd() { print -r -- "<$*>" } ; loopix-client() { print -r -- "<$*>" }
"""


def needs(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell} here")
    return found


def offered(shell: str, directory: Path, *words: str) -> set[str]:
    """What a shell offers for the last of some words."""
    script = directory / f"script.{shell}"
    script.write_text(completion(words[0], shell), encoding="utf-8")
    arguments = {
        "bash": ["--norc", "--noprofile", "-c", _BASH, "bash", *words],
        "fish": ["--no-config", "-c", _FISH, *words],
    }
    ended = subprocess.run(
        [needs(shell), *arguments[shell]],
        env={**os.environ, "SCRIPT": str(script), "HOME": str(directory)},
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert ended.stderr == ""
    return {line.rstrip("/") for line in ended.stdout.splitlines()}


def typed_into_zsh(directory: Path, line: str) -> str:
    """What a command gets after a line with tabs in it was typed."""
    zsh = needs("zsh")
    for program in PROGRAMS:
        (directory / f"_{program}").write_text(completion(program, "zsh"), encoding="utf-8")
    environment = {**os.environ, "SCRIPT": str(directory / "_"), "HOME": str(directory), "TERM": "dumb"}
    outer, inner = pty.openpty()
    with subprocess.Popen(
        [zsh, "-f", "-i"],
        env=environment,
        cwd=directory,
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    ) as shell:
        os.close(inner)
        os.write(outer, f"{_ZSH}\n{line}\nexit\n".encode())
        shown = bytearray()
        while True:
            try:
                piece = os.read(outer, 4096)
            except OSError:  # the other end is closed
                break
            shown += piece
        os.close(outer)
        shell.wait(SECONDS)
    return shown.decode()


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_commands_sub_commands_choices_and_files_are_offered(shell: str, tmp_path: Path) -> None:
    (tmp_path / "client.toml").touch()
    (tmp_path / "clients").mkdir()
    assert offered(shell, tmp_path, "kpclientd", "") >= {HELP, VERSION, *(command.name for command in COMMANDS)}
    assert offered(shell, tmp_path, "kpclientd", "p") == {"ping", "pipe"}
    assert offered(shell, tmp_path, "kpclientd", "config", "") >= {"check", "show", "init"}
    assert offered(shell, tmp_path, "kpclientd", "config", "init", "--network", "l") == {"local"}
    assert offered(shell, tmp_path, "kpclientd", "config", "check", "client") == {"client.toml", "clients"}
    assert offered(shell, tmp_path, "kpclientd", "--config", "client.") == {"client.toml"}
    assert offered(shell, tmp_path, "kpclientd", "localnet", "client") == {"clients"}
    assert offered(shell, tmp_path, "kpclientd", "--val") == {"--validate-only"}
    assert offered(shell, tmp_path, "loopix-client", "socket", "--socket", "w") == {"websocket"}
    assert offered(shell, tmp_path, "kpclientd", "loopix", "s") == {"socket"}


def test_zsh_completes_what_is_typed(tmp_path: Path) -> None:
    (tmp_path / "client.toml").touch()
    assert "<config init --network namenlos>" in typed_into_zsh(tmp_path, "kpclientd conf\tin\t--net\tnam\t")
    assert "<config check client.toml>" in typed_into_zsh(tmp_path, "kpclientd config check cli\t")
    assert "<socket --socket websocket>" in typed_into_zsh(tmp_path, "loopix-client soc\t--soc\tw\t")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_can_read_its_script(shell: str, program: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(completion(program, shell), encoding="utf-8")
    subprocess.run([needs(shell), "-n", script], check=True, timeout=SECONDS)


def test_the_command_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bash", "--program", "loopix-client"]) == 0
    assert capsys.readouterr().out == completion("loopix-client", "bash")


def test_the_whole_parser_has_all_commands_and_the_daemons_own_line() -> None:
    parser = whole_parser("kpclientd")
    assert [name for name, _, _ in commands_of(parser)] == [*(command.name for command in COMMANDS), HELP, VERSION]
    assert "--validate-only" in parser.format_help()


def test_the_daemon_does_not_import_what_completes() -> None:
    code = "import sys, kpclientd.cli as cli; cli.main(['--version']); sys.exit('shtab' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
