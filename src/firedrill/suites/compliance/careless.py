"""Checkers of hosts that are wrong in one way each, to prove without a playbook that traps catch somebody.

A *view* is a host as a careless checker sees it, judged by the right procedure. A *checker* of
`careless.yaml` looks at lines, modes and states. Who is to count has to be right about what an agent can see,
V0 and its twin, so that only the traps tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError
from firedrill.suites.compliance.controls import judge_of
from firedrill.suites.compliance.drawing import filled
from firedrill.suites.compliance.hosts import host_of
from firedrill.suites.compliance.loading import words_of
from firedrill.suites.compliance.model import ComplianceSpec, Variant
from firedrill.world.host import Host, HostFile

View = Callable[[Host, Host], Host]
"""The host to judge, and the compliant twin: what a checker takes for granted is the twin's."""

_FOLDERS = re.compile(r"\.d/[^/]+$|/systemd/system/.+\.d/")


def _files(host: Host, change: Callable[[HostFile], HostFile | None]) -> Host:
    changed = [change(file) for file in host.files.values()]
    if all(new is old for new, old in zip(changed, host.files.values(), strict=True)):
        return host
    return host.model_copy(update={"files": {file.path: file for file in changed if file is not None}})


def comments_count(host: Host, twin: Host) -> Host:
    """Takes `#` away."""

    def bare(file: HostFile) -> HostFile:
        if "#" not in file.content and ";" not in file.content:
            return file
        text = re.sub(r"^(\s*)[#;]+ ?(?=\S)", r"\1", file.content, flags=re.M)
        return file.model_copy(update={"content": text})

    return _files(host, bare)


def main_files_only(host: Host, twin: Host) -> Host:
    """Does not know folders of drop-ins."""
    return _files(host, lambda file: None if _FOLDERS.search(file.path) and file.type != "dir" else file)


def files_only(host: Host, twin: Host) -> Host:
    """Takes what runs for granted."""
    running = ("sysctl", "mounts", "units", "modules", "audit", "firewalld", "listen")
    return host.model_copy(update={name: getattr(twin, name) for name in running})


def running_only(host: Host, twin: Host) -> Host:
    """Takes what is on disk for granted."""
    return host.model_copy(update={"files": twin.files})


def any_name(host: Host, twin: Host) -> Host:
    """Reads every file of a folder, whatever it is called."""

    def renamed(file: HostFile) -> HostFile:
        found = re.search(r"\.(conf|rules|sources)\.[^/]*$|(?<=\.d/)[^/.]+$|\.(bak|rpmsave|off)$", file.path)
        if found is None or file.type != "file" or ".d/" not in file.path:
            return file
        kind = "rules" if "rules.d" in file.path else "sources" if "sources.d" in file.path else "conf"
        stem = file.path[: found.start()] if found[0].startswith(".") else file.path
        return file.model_copy(update={"path": f"{stem}.{kind}"})

    return _files(host, renamed)


def links_as_they_are(host: Host, twin: Host) -> Host:
    """Takes a link for the thing: what it leads to is not looked at."""
    return _files(
        host,
        lambda file: (
            HostFile(path=file.path, mode="0777") if file.type == "link" and not _kept(file, twin) else file
        ),
    )


def links_left_out(host: Host, twin: Host) -> Host:
    """Reads regular files only."""
    return _files(host, lambda file: None if file.type == "link" and not _kept(file, twin) else file)


def _kept(file: HostFile, twin: Host) -> bool:
    return twin.files.get(file.path) == file


def no_match_blocks(host: Host, twin: Host) -> Host:
    """Stops at the first Match block."""
    return _files(
        host,
        lambda file: (
            file.model_copy(update={"content": re.sub(r"(?ims)^\s*match\s.*\Z", "", file.content)})
            if "/ssh/" in file.path
            else file
        ),
    )


def backwards(host: Host, twin: Host) -> Host:
    """Takes the last value for the first, and the other way round."""
    return _files(
        host,
        lambda file: (
            file.model_copy(update={"content": "\n".join(reversed(file.content.splitlines()))})
            if file.type == "file" and not file.path.startswith("/etc/pam.d")
            else file
        ),
    )


VIEWS: tuple[View, ...] = (
    comments_count,
    main_files_only,
    files_only,
    running_only,
    any_name,
    links_as_they_are,
    links_left_out,
    no_match_blocks,
    backwards,
)

Checker = Callable[[Host], bool]
"""Whether a host passes for compliant."""


def lines(host: Host, pattern: str) -> Iterator[str]:
    """The lines of all regular files whose path matches, in order of paths."""
    for path, file in sorted(host.files.items()):
        if file.type == "file" and re.fullmatch(pattern, path):
            yield from file.content.splitlines()


LINES: Mapping[str, Callable[[list[str], Any], bool]] = {
    "any": lambda found, wanted: any(re.search(wanted, line) for line in found),
    "never": lambda found, wanted: not any(re.search(wanted, line) for line in found),
    "all": lambda found, wanted: all(re.search(wanted, line) for line in found),
    "once": lambda found, wanted: sum(bool(re.search(wanted, line)) for line in found) == 1,
    "first": lambda found, wanted: bool(re.search(wanted[1], _about(found, wanted[0])[0])),
    "last": lambda found, wanted: bool(re.search(wanted[1], _about(found, wanted[0])[-1])),
}
"""What is asked of the lines of the files that `in` names: patterns; of `first` and `last` two, the one
for lines about it and the one which that line must have."""


def _about(found: list[str], pattern: str) -> list[str]:
    return [line for line in found if re.search(pattern, line)] or [""]


def _modes(host: Host, wanted: Mapping[str, str]) -> bool:
    return all(
        re.fullmatch(wanted[pattern], file.mode)
        for pattern in wanted
        for path, file in host.files.items()
        if file.type != "dir" and re.fullmatch(pattern, path)
    )


STATES: Mapping[str, Callable[[Host, Any], bool]] = {
    "mode": _modes,
    "exists": lambda host, path: path in host.files,
    "gone": lambda host, path: path not in host.files,
    "sysctl": lambda host, wanted: all(host.sysctl.get(key) == str(value) for key, value in wanted.items()),
    "options": lambda host, wanted: all(
        path in host.mounts and word in host.mounts[path].options for path, word in wanted.items()
    ),
    "enabled": lambda host, wanted: all(
        name not in host.units or re.fullmatch(state, host.units[name].enabled)
        for name, state in wanted.items()
    ),
    "active": lambda host, wanted: all(
        name not in host.units or re.fullmatch(state, host.units[name].active)
        for name, state in wanted.items()
    ),
    "no_unit": lambda host, pattern: (
        not any(re.search(pattern, name) and unit.active == "active" for name, unit in host.units.items())
    ),
    "loaded": lambda host, pattern: any(re.search(pattern, rule) for rule in host.audit.rules),
    "zone": lambda host, wanted: all(
        re.search(pattern, str(host.firewalld.zones[name])) for name, pattern in wanted.items()
    ),
    "listens": lambda host, port: (
        not any(item.port == port and not item.addr.startswith(("127.", "::1")) for item in host.listen)
    ),
}
"""What is asked of paths and of what runs."""


def checker(wanted: Mapping[str, Any]) -> Checker:
    """What an entry of the table does; all its members must be content."""

    def content(host: Host) -> bool:
        found = list(lines(host, wanted.get("in", "")))
        asked = [LINES[kind](found, wanted[kind]) for kind in LINES if kind in wanted]
        return all(asked) and all(STATES[kind](host, wanted[kind]) for kind in STATES if kind in wanted)

    return content


@cache
def table() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The checkers by scenario."""
    text = resources.files("firedrill.suites.compliance").joinpath("careless.yaml").read_text("utf-8")
    (document,) = read_documents(text, "careless.yaml")
    return dict(document)


def said(spec: ComplianceSpec, drawn: Sequence[Variant]) -> list[list[bool]]:
    """Of each careless one who is right about V0 and its twin: whether it passes each variant.

    Args:
        spec: of a host.
        drawn: its variants, V0 and the twin first.

    Raises:
        InputError: a checker of the table is wrong about V0 or the twin, or asks for something unknown.
    """
    judge, hosts = judge_of(spec.id), [host_of(variant) for variant in drawn]
    found = []
    for view in VIEWS:
        words = [not judge(view(host, hosts[1])) for host in hosts]
        if words[:2] == [False, True]:
            found.append(words)
    for number, entry in enumerate(table().get(spec.id, ())):
        field = f"{spec.id}[{number}]"
        if unknown := set(entry) - {"in", *LINES, *STATES}:
            raise InputError(f"asks for {min(unknown)!r}", source="careless.yaml", field=field)
        passes = checker(filled(entry, words_of(spec), "careless.yaml"))
        words = [passes(host) for host in hosts]
        if words[:2] != [False, True]:
            raise InputError("is wrong about V0 or its twin", source="careless.yaml", field=field)
        found.append(words)
    return found


def uncaught(spec: ComplianceSpec, drawn: Sequence[Variant]) -> list[Variant]:
    """The hidden variants that all careless ones judge rightly."""
    words = said(spec, drawn)
    return [
        variant
        for place, variant in enumerate(drawn)
        if place > 1 and all(one[place] is variant.compliant for one in words)
    ]


def caught(spec: ComplianceSpec, drawn: Sequence[Variant]) -> set[str]:
    """The traps of which every variant is judged wrongly by somebody careless."""
    return {item.trap for item in spec.variants} - {variant.trap for variant in uncaught(spec, drawn)}


__all__ = ["VIEWS", "caught", "checker", "said", "table", "uncaught"]
