"""What stands around every program here: streams that can be written, and one line for whatever its user can cause.

A user can close standard output or fill the disk behind it, press Ctrl-C at any moment, allow too few descriptors or
ask for an engine that is not there. None of that is a fault of the program, so none of it ends in a traceback; all else
does, since it has to be mended.
"""

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Final, ParamSpec, TextIO

P = ParamSpec("P")

DONE: Final = 0
FAILED: Final = 1
INTERRUPTED: Final = 130

_STANDARD_DESCRIPTORS: Final = range(3)
_PACKAGE: Final = Path(__file__).parent.name


def program(name: str) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Make a program's outermost function one that tells in a line what its user can cause.

    SystemExit passes through, and so does whatever is a fault of the program's own.

    Args:
        name: of the program, which stands before what is told of an error.
    """

    def around(work: Callable[P, int]) -> Callable[P, int]:
        @wraps(work)
        def run(*arguments: P.args, **named: P.kwargs) -> int:
            _prepare_streams()
            _name_what_is_logged(name)
            try:
                try:
                    return work(*arguments, **named)
                finally:
                    sys.stdout.flush()  # as long as what goes wrong with it can be told
            except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
                return _end(name, error)

        return run

    return around


def _end(name: str, error: BaseException) -> int:
    causes = list(_leaves(error))
    is_interrupted = any(isinstance(cause, KeyboardInterrupt) for cause in causes)
    if not is_interrupted and not all(map(_is_a_users_affair, causes)):
        raise error
    _let_go(sys.stdout)
    faults = [] if is_interrupted else [cause for cause in causes if not isinstance(cause, BrokenPipeError)]
    _tell(name, faults)
    _let_go(sys.stderr)
    if is_interrupted:
        return INTERRUPTED
    return FAILED if faults else DONE  # that a reader of standard output has read enough is no fault


def _prepare_streams() -> None:
    for descriptor in _STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one: no socket may get it
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files and peers need not be of this locale


def _name_what_is_logged(name: str) -> None:
    """Have warnings that come before a log is set up, or where there is none, begin as errors do."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter(f"{name}: %(message)s"))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _is_a_users_affair(error: BaseException) -> bool:
    if isinstance(error, (OSError, ImportError)):
        return True
    from sphinx.errors import MixnetError

    return isinstance(error, MixnetError)


def _tell(name: str, faults: list[BaseException]) -> None:
    """Tell each once."""
    told = map(in_words, faults)
    lines = dict.fromkeys(f"{name}: {text}\n" for text in told)
    try:
        sys.stderr.write("".join(lines))
        sys.stderr.flush()
    except OSError:
        pass  # there is nobody who would read it


def in_words(error: BaseException) -> str:
    """What a line can say of an error."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror}{_place(error)}"
    if isinstance(error, ImportError):
        return f"{error}; the installation is not complete, or cannot be read"
    return str(error)


def _place(error: BaseException) -> str:
    """Where it came about, as nothing else in the message says it."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if _PACKAGE in file.parts and file != Path(__file__):
            place = f" (in {file.name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _let_go(stream: TextIO) -> None:
    """Flush it, or let what is left go nowhere: the interpreter flushes once more at its end, and tells the fault."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except ValueError:
        pass  # it is closed
