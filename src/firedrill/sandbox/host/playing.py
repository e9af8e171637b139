"""Playing a host: a playbook or a command that sees it and nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from firedrill.core.errors import InputError
from firedrill.sandbox.base import HOME
from firedrill.sandbox.host.bundle import MANAGER, PRELOAD
from firedrill.sandbox.host.engine import HostLimits, Outcome, Reply, run
from firedrill.sandbox.host.layout import entries
from firedrill.sandbox.toolroot import require
from firedrill.world.host import Host
from firedrill.world.host.stubs import answer, commands

INVENTORY = "inventory.ansible.ini"
GAPS = 100
"""Gaps that are kept."""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PAGER": "cat",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LD_PRELOAD": f"{MANAGER}/{PRELOAD}",
    "ANSIBLE_HOME": "/tmp/.ansible",  # noqa: S108 - inside
    "ANSIBLE_LOCAL_TEMP": "/tmp/.ansible/tmp",  # noqa: S108 - inside
    "ANSIBLE_REMOTE_TMP": "/tmp/.ansible/tmp",  # noqa: S108 - inside
    "ANSIBLE_PIPELINING": "1",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_RETRY_FILES_ENABLED": "0",
    "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
}


@dataclass(frozen=True)
class Played:
    """What a playbook or command did. ``code`` is 124 when time or output ran out, 137 when it was ended."""

    code: int
    stdout: str
    stderr: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Regular files of the working folder by name, those given to it too. One longer than allowed is one
    byte longer than the bound here."""
    changed: tuple[str, ...] = ()
    """Paths of the host that are other than before."""
    gaps: tuple[tuple[str, ...], ...] = ()
    """Commands that no stub could answer."""
    stopped: bool = False
    seconds: float = 0.0
    """Wall time: never part of what is digested."""


def inventory(host: Host) -> str:
    """An inventory with this one host, as a play on it needs."""
    return f"[hosts]\n{host.hostname} ansible_connection=local\n"


def play(
    host: Host,
    playbook: str,
    folder: Mapping[str, bytes],
    limits: HostLimits | None = None,
    arguments: Sequence[str] = (),
) -> Played:
    """Run the playbook that ``folder`` holds under the name ``playbook`` against ``host``.

    ``ansible-playbook -i inventory.ansible.ini`` runs in the working folder; an inventory is added when the
    folder has none. ``arguments`` follow, such as ``--syntax-check``.

    Raises:
        InputError: no such playbook, a name that leads out of the folder, ansible-core is not installed.
        InfrastructureError: the sandbox failed, or needs what this machine lacks.
    """
    if playbook not in folder:
        raise InputError("there is no such file in the working folder", source=playbook)
    files = {INVENTORY: inventory(host).encode(), **folder}
    return _played(
        host,
        ["/usr/bin/ansible-playbook", "-i", INVENTORY, *arguments, playbook],
        files,
        limits or HostLimits(),
    )


def run_command(
    host: Host, command: str, folder: Mapping[str, bytes] | None = None, limits: HostLimits | None = None
) -> Played:
    """Run ``command`` with bash on ``host``; otherwise as :func:`play`."""
    return _played(host, ["/usr/bin/bash", "-c", command], folder or {}, limits or HostLimits())


def _played(host: Host, argv: list[str], files: Mapping[str, bytes], limits: HostLimits) -> Played:
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name or name == "." or "\0" in name:
            raise InputError(f"{name!r} is no name below the working folder", source="folder")
    gaps: list[tuple[str, ...]] = []

    def asked(cwd: str, words: list[str]) -> Reply:
        given = answer(host, words, cwd)
        if given.gap and len(gaps) < GAPS:
            gaps.append(tuple(words))
        return Reply(given.stdout.encode(), given.stderr.encode(), given.code, given.instead)

    present = frozenset(path.name for path in (require().path / "usr" / "bin").iterdir())
    tree = entries(host, commands(host), present)
    environment = {**ENVIRONMENT, "PWD": HOME}
    if argv[0].endswith("ansible-playbook"):
        environment["HOST_PRELOAD"] = environment.pop("LD_PRELOAD")
    outcome: Outcome = run(tree, files, argv, environment, host.hostname, asked, limits)
    return Played(
        outcome.code, outcome.stdout, outcome.stderr, outcome.files, tuple(outcome.changed), tuple(gaps),
        outcome.stopped, outcome.seconds,
    )  # fmt: skip
