"""Which incidents are being played on this machine: a small file for each, gone when it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from firedrill.core.errors import InputError
from firedrill.suites._places import data_home

_TEXTS = ("control", "namespace", "sockets", "kubeconfig", "authority")


@dataclass(frozen=True, slots=True)
class Session:
    """An incident that somebody has on.

    Attributes:
        pid: of the program that serves it; its name, too.
        control: the Unix socket that takes the answer.
        namespace: where the application runs.
        sockets: the folder with the sockets of its APIs.
        kubeconfig: the file that was written for it.
        alerts: what somebody was called for.
        authority: the name of the policy.
    """

    pid: int
    control: str
    namespace: str
    sockets: str = ""
    kubeconfig: str = ""
    alerts: tuple[Mapping[str, Any], ...] = ()
    authority: str = ""

    @property
    def alive(self) -> bool:
        """Whether the program is still there."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def folder() -> Path:
    """Where the files are."""
    return data_home() / "playing"


def enter(session: Session) -> Path:
    """Write a session down; gives its file.

    Raises:
        OSError: the user's data folder cannot be written.
    """
    from firedrill.records import write_atomic

    place = folder()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = place / f"{session.pid}.json"
    write_atomic(path, json.dumps(asdict(session)).encode())
    return path


def sessions() -> list[Session]:
    """Those that are on, by their numbers. Files of programs that are gone are removed."""
    found = []
    for path in sorted(folder().glob("*.json")):
        session = _read(path)
        if session is None or not session.alive:
            path.unlink(missing_ok=True)
            continue
        found.append(session)
    return sorted(found, key=lambda item: item.pid)


def find(number: int | None) -> Session:
    """The session of that number, or the only one.

    Raises:
        InputError: there is none, or more than one to choose from.
    """
    known = sessions()
    if number is not None:
        known = [item for item in known if item.pid == number]
    if not known:
        what = "no incident is being played" if number is None else f"no incident {number} is being played"
        raise InputError(what, mend="start one with `firedrill play`")
    if len(known) > 1:
        numbers = ", ".join(str(item.pid) for item in known)
        raise InputError(f"several incidents are being played: {numbers}", mend="name one with --session")
    return known[0]


def _read(path: Path) -> Session | None:
    try:
        found: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, Mapping):
        return None
    pid, alerts = found.get("pid"), found.get("alerts", [])
    texts = {name: found.get(name, "") for name in _TEXTS}
    if not isinstance(pid, int) or not isinstance(alerts, list) or not texts["control"]:
        return None
    if not all(isinstance(text, str) for text in texts.values()):
        return None
    return Session(pid=pid, alerts=tuple(item for item in alerts if isinstance(item, Mapping)), **texts)


__all__ = ["Session", "enter", "find", "folder", "sessions"]
