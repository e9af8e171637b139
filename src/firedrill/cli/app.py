"""The root command: knows every verb by name and imports only the one that is called."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from firedrill import __version__
from firedrill.core.errors import FiredrillError, InfrastructureError, InputError

_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)
"""Failures of the machine; other failures of files come from what the user named."""

VERBS: dict[str, str] = {
    "demo": "write a small suite, run the built-in agents on it, show the scoreboard",
    "run": "run agents on a suite or on a folder of incidents",
    "resume": "finish a run that was interrupted",
    "score": "compute the grades of a run again from its folder",
    "compare": "say whether one agent is better than another, or undecided",
    "report": "write a run as a folder of pages that opens offline",
    "view": "serve a run's report on this machine",
    "verify": "find every edit of a run's records",
    "grade": "grade one answer file, or a folder of finished answers",
    "suite": "list, show, check, add, fetch and generate suites",
    "mcp": "give the tools over a recorded incident to any MCP client",
    "agents": "list the agents that can be run",
    "investigate": "find the cause of one recorded incident, without a model",
    "check": "prove that a suite is honest: it can be solved, and by nothing else",
    "sandbox": "show and prepare what agents' commands run in",
    "play": "be on call yourself: a living incident, served at real speed",
    "answer": "finish the incident that `play` serves, and see the grade",
    "world": "serve a Kubernetes cluster that lives in this process",
}
"""Every verb has a module of its name in this package, with a ``typer.Typer`` called ``app``."""


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "usage: firedrill VERB [OPTIONS] [ARGUMENTS]",
            "",
            "Measures how well AI agents do IT operations.",
            "",
            "verbs:",
            *lines,
            "",
            "  --version  print the version",
            "  --help     print this; after a verb, its own help",
            "",
            "Every verb takes --json. Exit codes: 0 fine, 1 a check failed, 2 bad input or usage,",
            "3 the machine or a service failed, 130 interrupted.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. Never prints a traceback for a user's mistake."""
    args = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    code = 0
    try:
        code = _dispatch(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of our output is gone; nothing more can be said
        _close_output()
    except OSError as error:
        _close_output()
        code = _tell(_of_files(error))
    return code


def _close_output() -> None:
    """Let the interpreter not try again, at its end, to write what could not be written."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> None:
    """Output that is closed goes nowhere, and what its encoding lacks is written as an escape."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _of_files(error: OSError) -> FiredrillError:
    problem = error.strerror or str(error)
    named = error.filename2 or error.filename  # of two, what was to be made
    source = os.fsdecode(named) if isinstance(named, str | bytes) else None
    if source is None or error.errno in _MACHINE:
        return InfrastructureError(f"{source}: {problem}" if source else problem)
    return InputError(problem, source=source)


def _tell(error: object, code: int | None = None) -> int:
    # names in it are foreign: they must not drive the terminal
    text = "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in f"error: {error}")
    sys.stderr.write(text + "\n")
    return getattr(error, "exit_code", 1) if code is None else code


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        sys.stdout.write(_help() + "\n")
        return 0 if args else 2
    if args[0] in ("--version", "-V"):
        sys.stdout.write(f"firedrill {__version__}\n")
        return 0
    verb = args.pop(0)
    if verb not in VERBS:
        import difflib

        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "; `firedrill --help` lists them"
        return _tell(f"no verb {verb!r}{hint}", 2)
    return _call(verb, args)


def _call(verb: str, args: list[str]) -> int:
    import typer

    module = importlib.import_module(f"firedrill.cli.{verb}")
    command = typer.main.get_command(module.app)
    try:
        result = command.main(args, prog_name=f"firedrill {verb}", standalone_mode=False)
    except FiredrillError as error:
        return _tell(error)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        return 130
    except SystemExit as gone:  # how typer answers a broken pipe
        raise BrokenPipeError from gone
    except typer.Exit as stop:
        return stop.exit_code
    except Exception as error:  # typer's usage errors share no public base class
        if not hasattr(error, "format_message"):
            raise
        return _tell(error.format_message(), int(getattr(error, "exit_code", 2)))
    return result if isinstance(result, int) else 0
