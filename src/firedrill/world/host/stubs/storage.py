"""mount and findmnt: what is mounted, and what fstab asks for."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence

from firedrill.world.host.effective import fstab
from firedrill.world.host.records import Host, Mount
from firedrill.world.host.stubs.answering import Answer, gap
from firedrill.world.host.stubs.words import Options, UnknownOptionError, read, table

COLUMNS = ("TARGET", "SOURCE", "FSTYPE", "OPTIONS")
_MORE = ("FS-OPTIONS", "VFS-OPTIONS")
_VFS = frozenset(
    (
        "rw",
        "ro",
        "nosuid",
        "suid",
        "nodev",
        "dev",
        "noexec",
        "exec",
        "relatime",
        "noatime",
        "nodiratime",
        "strictatime",
    )
)


def running(host: Host) -> list[Mount]:
    """The mounts in the order in which a machine makes them: parents first."""
    return sorted(
        host.mounts.values(),
        key=lambda mount: (mount.target.count("/") if mount.target != "/" else 0, mount.target),
    )


def mount(host: Host, words: list[str], cwd: str) -> Answer:
    """``mount [-l] [-t type]``; mounting is refused."""
    try:
        options = read(words, "-l --show-labels -v -V --version", "-t --types")
    except UnknownOptionError:
        return Answer(stderr="mount: only root can do that\n", code=1)
    if options.has("-V", "--version"):
        return Answer("mount from util-linux 2.37.4\n")
    if options.rest:
        return Answer(stderr=f"mount: {options.rest[-1]}: permission denied.\n", code=32)
    kinds = options.values("-t", "--types")
    return Answer(
        "".join(
            f"{one.source} on {one.target} type {one.fstype} ({','.join(one.options)})\n"
            for one in running(host)
            if not kinds or one.fstype in kinds
        )
    )


def findmnt(host: Host, words: list[str], cwd: str) -> Answer:
    """``findmnt`` with its usual columns, from the running mounts or fstab."""
    try:
        options = read(
            words,
            (
                "-n --noheadings -l --list -J --json -k --kernel -s --fstab -r --raw -P --pairs "
                "-f --first-only -x --verify -a --ascii -u --notruncate -v --nofsroot -m --mtab "
                "-V --version -e --evaluate --real -A --all -D --df -R --submounts"
            ),
            "-o --output --target -T -M --mountpoint -S --source -t --types -O --options",
        )
    except UnknownOptionError as error:
        return Answer(stderr=f"findmnt: unrecognized option '{error}'\n", code=1, gap=True)
    if options.has("-V", "--version"):
        return Answer("findmnt from util-linux 2.37.4\n")
    if options.has("-x", "--verify"):
        return _verify(host)
    columns = [column.upper() for column in options.values("-o", "--output")] or list(COLUMNS)
    if options.has("-D", "--df") or any(column not in (*COLUMNS, *_MORE) for column in columns):
        return gap("findmnt", words)
    if options.has("-s", "--fstab"):
        entries = [
            Mount(
                source=one.source,
                target=one.target if one.target.startswith("/") else "/",
                fstype=one.fstype,
                options=one.options,
            )
            for one in fstab.entries(host)
            if one.target.startswith("/")
        ]
        flat = True
    else:
        entries, flat = running(host), options.has("-l", "--list")
    chosen = _chosen(entries, options)
    if not chosen:
        return Answer(code=1)
    return Answer(_printed(chosen, columns, options, flat or len(chosen) < len(entries)))


def _chosen(entries: Sequence[Mount], options: Options) -> list[Mount]:
    kinds, wanted = options.values("-t", "--types"), options.values("-O", "--options")
    found = [
        one
        for one in entries
        if (not kinds or one.fstype in kinds) and all(_has(one.options, word) for word in wanted)
    ]
    if target := options.value("--target", "-T"):
        return _holding(found, target)
    names = [*options.rest, options.value("-M", "--mountpoint"), options.value("-S", "--source")]
    given = [posixpath.normpath(name) if name.startswith("/") else name for name in names if name]
    if options.has("-R", "--submounts") and given:
        return [
            one
            for one in found
            if one.target == given[0] or one.target.startswith(given[0].rstrip("/") + "/")
        ]
    if len(given) == 2:
        return [one for one in found if given in ([one.source, one.target], [one.target, one.source])]
    if given and options.rest:
        return [one for one in found if given[0] in (one.target, one.source)]
    if options.value("-M", "--mountpoint"):
        return [one for one in found if one.target == given[0]]
    return [one for one in found if one.source == given[0]] if given else found


def _has(options: Sequence[str], word: str) -> bool:
    return word[2:] not in options if word.startswith("no") and word not in options else word in options


def _holding(entries: Sequence[Mount], path: str) -> list[Mount]:
    here = posixpath.normpath(path)
    while True:
        found = [one for one in entries if one.target == here]
        if found or here == "/":
            return found[-1:]
        here = posixpath.dirname(here)


def _cell(one: Mount, column: str) -> str:
    if column == "FS-OPTIONS":
        return ",".join(["rw", *(word for word in one.options if word not in _VFS)])
    if column == "VFS-OPTIONS":
        return ",".join(word for word in one.options if word in _VFS)
    return {
        "TARGET": one.target,
        "SOURCE": one.source,
        "FSTYPE": one.fstype,
        "OPTIONS": ",".join(one.options),
    }[column]


def _printed(chosen: list[Mount], columns: list[str], options: Options, flat: bool) -> str:
    rows = [[_cell(one, column) for column in columns] for one in chosen]
    if options.has("-J", "--json"):
        items = [dict(zip((column.lower() for column in columns), row, strict=True)) for row in rows]
        return json.dumps({"filesystems": items}, indent=3) + "\n"
    if options.has("-P", "--pairs"):
        return "".join(
            " ".join(f'{c}="{v}"' for c, v in zip(columns, row, strict=True)) + "\n" for row in rows
        )
    header = [] if options.has("-n", "--noheadings") else [columns]
    if options.has("-r", "--raw"):
        return "".join(" ".join(row) + "\n" for row in (*header, *rows))
    if not flat and "TARGET" in columns:
        place = columns.index("TARGET")
        for row, tree in zip(rows, _branches(chosen), strict=True):
            row[place] = tree
    return table([*header, *rows])


def _branches(chosen: list[Mount]) -> list[str]:
    """Targets with the branches of a tree before them."""
    parents = {one.target: _parent(chosen, one.target) for one in chosen}
    drawn = []
    for number, one in enumerate(chosen):
        depth, here = 0, parents[one.target]
        while here is not None:
            depth, here = depth + 1, parents[here]
        more = any(parents[other.target] == parents[one.target] for other in chosen[number + 1 :])
        drawn.append(("│ " * max(0, depth - 1) + ("├─" if more else "└─") if depth else "") + one.target)
    return drawn


def _parent(chosen: list[Mount], target: str) -> str | None:
    known = {one.target for one in chosen}
    here = target
    while here != "/":
        here = posixpath.dirname(here)
        if here in known and here != target:
            return here
    return None


def _verify(host: Host) -> Answer:
    return Answer("Success, no errors or warnings detected\n" if fstab.entries(host) else "")
