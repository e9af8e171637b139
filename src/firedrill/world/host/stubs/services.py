"""systemctl and systemd-analyze."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Callable, Iterable

from firedrill.world.host.effective import units, units_conf
from firedrill.world.host.records import Host, Unit
from firedrill.world.host.stubs.answering import Answer, gap
from firedrill.world.host.stubs.words import Options, UnknownOptionError, read, table

VERSION = "systemd 252 (252-32.el9_4)\n+PAM +AUDIT +SELINUX -APPARMOR +IMA +SMACK +SECCOMP +GCRYPT +GNUTLS\n"
ENABLED = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient", "linked")
_ALONE = (
    "--no-legend --plain --no-pager -a --all -q --quiet --full -l --value --version "
    "--system --no-ask-password --failed --now --runtime -r --recursive --force -f"
)
_VALUED = "-t --type --state -p --property -P -n --lines -o --output --legend"
CHANGES = frozenset(
    (
        "start",
        "stop",
        "restart",
        "try-restart",
        "reload",
        "reload-or-restart",
        "enable",
        "disable",
        "mask",
        "unmask",
        "reenable",
        "preset",
        "isolate",
        "kill",
        "set-default",
        "daemon-reload",
        "daemon-reexec",
        "reset-failed",
        "set-property",
        "edit",
        "link",
        "revert",
        "clean",
        "reboot",
        "poweroff",
    )
)


def systemctl(host: Host, words: list[str], cwd: str) -> Answer:
    """``systemctl``: what it tells; what would change the host is refused."""
    try:
        options = read(words, _ALONE, _VALUED)
    except UnknownOptionError as error:
        return Answer(stderr=f"systemctl: unrecognized option '{error}'\n", code=1, gap=True)
    if options.has("--version"):
        return Answer(VERSION)
    verb, *rest = options.rest or ["list-units"]
    if verb in CHANGES:
        return Answer(stderr=f"Failed to {verb} {' '.join(rest)}: Access denied\n", code=4)
    if verb not in _VERBS:
        return gap("systemctl", words)
    return _VERBS[verb](host, rest, options)


def _expanded(host: Host, rest: list[str]) -> list[str]:
    found = []
    for name in rest:
        if any(sign in name for sign in "*?["):
            wanted = name if name.endswith(units.SUFFIXES) or name.endswith("*") else f"{name}.service"
            found += [known for known in units.names(host) if fnmatch.fnmatchcase(known, wanted)]
        else:
            found.append(units.full_name(name))
    return found


def _is_enabled(host: Host, rest: list[str], options: Options) -> Answer:
    out, err, good = [], [], False
    for name in _expanded(host, rest):
        state = units.file_state(host, name)
        if not state and units.canonical(host, name) != name:
            state = "alias"
        if not state:
            err.append(f"Failed to get unit file state for {name}: No such file or directory\n")
            continue
        good = good or state in ENABLED
        out.append(f"{state}\n")
    said = "" if options.has("-q", "--quiet") else "".join(out)
    return Answer(said, "".join(err), 0 if good else 1)


def _is_active(host: Host, rest: list[str], options: Options) -> Answer:
    return _told(host, rest, options, lambda state: state in ("active", "reloading"))


def _is_failed(host: Host, rest: list[str], options: Options) -> Answer:
    given = _told(host, rest, options, lambda state: state == "failed")
    return Answer(given.stdout, "", 0 if given.code == 0 else 1)


def _told(host: Host, rest: list[str], options: Options, wanted: Callable[[str], bool]) -> Answer:
    found = [units.unit(host, name) for name in _expanded(host, rest)]
    states = [unit.active if unit is not None else "inactive" for unit in found]
    code = 0 if any(map(wanted, states)) else 4 if found and all(unit is None for unit in found) else 3
    quiet = options.has("-q", "--quiet")
    return Answer("" if quiet else "".join(f"{state}\n" for state in states), "", code)


def _status(host: Host, rest: list[str], options: Options) -> Answer:
    if not rest:
        return gap("systemctl", ["status"])
    out, err, code = [], [], 0
    for name in _expanded(host, rest):
        unit = units.unit(host, name)
        if unit is None:
            err.append(f"Unit {name} could not be found.\n")
            code = 4
            continue
        dot = {"active": "●", "failed": "×"}.get(unit.active, "○")
        path = units.fragment(host, unit.name) or ""
        where = f"{unit.load} ({path}; {unit.enabled}; preset: {units.preset(host, unit.name)})"
        if unit.load == "masked":
            where = f"masked (Reason: Unit {unit.name} is masked.)"
        out.append(
            f"{dot} {unit.name} - {unit.description or unit.name}\n     Loaded: {where}\n"
            f"     Active: {unit.active} ({unit.sub})\n"
        )
        code = code or (0 if unit.active in ("active", "reloading") else 3)
    return Answer("\n".join(out), "".join(err), code)


def _properties(host: Host, name: str) -> dict[str, str]:
    unit = units.unit(host, name)
    if unit is None:
        return {
            "Id": name,
            "Names": name,
            "LoadState": "not-found",
            "ActiveState": "inactive",
            "SubState": "dead",
            "UnitFileState": "",
            "Description": name,
            "FragmentPath": "",
            "CanStart": "no",
        }
    path = units.fragment(host, unit.name) or ""
    others = [place for place, _ in units.sources(host, name) if place != path]
    known = {
        "Type": "",
        "Id": unit.name,
        "Names": " ".join([unit.name, *units.aliases(host, unit.name)]),
        "Description": unit.description or unit.name,
        "LoadState": unit.load,
        "ActiveState": unit.active,
        "SubState": unit.sub,
        "FragmentPath": path,
        "DropInPaths": " ".join(others),
        "UnitFileState": unit.enabled,
        "UnitFilePreset": units.preset(host, unit.name),
        "MainPID": "0" if unit.sub != "running" else "812",
        "NeedDaemonReload": "no",
        "CanStart": "yes" if unit.load == "loaded" else "no",
        "WantedBy": " ".join(
            posixpath.basename(posixpath.dirname(link)).removesuffix(".wants")
            for link in units.wanted_by(host, unit.name)
        ),
    }
    for _, text in units.sources(host, name):
        for section in ("Unit", "Service", "Socket", "Mount"):
            for key, value in units_conf.assignments(text, section):
                if key not in ("Description",):
                    known[key] = value
    where = known.get("Where") or _mount_point(unit.name)
    if unit.name.endswith(".mount") and where in host.mounts:
        mount = host.mounts[where]
        known |= {
            "Where": where,
            "What": mount.source,
            "Type": mount.fstype,
            "Options": ",".join(mount.options),
        }
    return {key: value for key, value in known.items() if value or key != "Type"}


def _mount_point(name: str) -> str:
    stem = name.removesuffix(".mount")
    return "/" if stem == "-" else "/" + stem.replace("-", "/").replace(r"\x2d", "-")


def _show(host: Host, rest: list[str], options: Options) -> Answer:
    wanted = options.values("-p", "--property", "-P")
    bare = options.has("--value", "-P")
    blocks = []
    for name in _expanded(host, rest):
        known = _properties(host, name)
        pairs = [(key, known.get(key, "")) for key in wanted] if wanted else list(known.items())
        blocks.append("".join(f"{value}\n" if bare else f"{key}={value}\n" for key, value in pairs))
    if not rest:
        return gap("systemctl", ["show"])
    return Answer("\n".join(blocks))


def _cat(host: Host, rest: list[str], options: Options) -> Answer:
    parts, err = [], []
    for name in _expanded(host, rest):
        found = units.sources(host, name)
        if not found:
            err.append(f"No files found for {name}.\n")
        parts += [f"# {path}\n{text}" for path, text in found]
    return Answer("\n".join(parts), "".join(err), 1 if err else 0)


def _chosen(host: Host, rest: list[str], options: Options) -> Iterable[Unit]:
    types = options.values("-t", "--type")
    for name in units.names(host):
        if types and name.rpartition(".")[2] not in types:
            continue
        if rest and not any(fnmatch.fnmatchcase(name, wanted) for wanted in rest):
            continue
        unit = units.unit(host, name)
        if unit is not None:
            yield unit


def _list_units(host: Host, rest: list[str], options: Options) -> Answer:
    states = [*options.values("--state"), *(["failed"] if options.has("--failed") else [])]
    rows = []
    for unit in _chosen(host, rest, options):
        if unit.name not in host.units:
            continue
        if states and not {unit.active, unit.sub, unit.load} & set(states):
            continue
        if not states and not options.has("-a", "--all") and unit.active in ("inactive",):
            continue
        rows.append([unit.name, unit.load, unit.active, unit.sub, unit.description or unit.name])
    plain = options.has("--plain", "--no-legend") or options.value("--legend") in ("false", "no")
    if options.has("--no-legend") or options.value("--legend") in ("false", "no"):
        return Answer(table([["  " * (not options.has("--plain")) + row[0], *row[1:]] for row in rows]))
    header = ["UNIT", "LOAD", "ACTIVE", "SUB", "DESCRIPTION"]
    body = table([header, *rows]) if plain else table([[f"  {row[0]}", *row[1:]] for row in (header, *rows)])
    legend = (
        "\nLOAD   = Reflects whether the unit definition was properly loaded.\n"
        "ACTIVE = The high-level unit activation state, i.e. generalization of SUB.\n"
        "SUB    = The low-level unit activation state, values depend on unit type.\n"
        f"{len(rows)} loaded units listed.\n"
    )
    return Answer(body + legend)


def _list_unit_files(host: Host, rest: list[str], options: Options) -> Answer:
    states = options.values("--state")
    rows = []
    for name in units.names(host):
        types = options.values("-t", "--type")
        if types and name.rpartition(".")[2] not in types:
            continue
        if rest and not any(fnmatch.fnmatchcase(name, wanted) for wanted in rest):
            continue
        state = units.file_state(host, name) or "alias"
        if states and state not in states:
            continue
        known = "-" if state in ("static", "alias", "generated", "transient") else units.preset(host, name)
        rows.append([name, state, known])
    if options.has("--no-legend") or options.value("--legend") in ("false", "no"):
        return Answer(table(rows), "", 0 if rows or not rest else 1)
    return Answer(table([["UNIT FILE", "STATE", "PRESET"], *rows]) + f"\n{len(rows)} unit files listed.\n")


def _get_default(host: Host, rest: list[str], options: Options) -> Answer:
    found = host.resolve("/etc/systemd/system/default.target")
    return Answer(f"{posixpath.basename(found or 'graphical.target')}\n")


def _is_system_running(host: Host, rest: list[str], options: Options) -> Answer:
    failed = any(unit.active == "failed" for unit in host.units.values())
    return Answer("degraded\n" if failed else "running\n", "", int(failed))


_VERBS: dict[str, Callable[[Host, list[str], Options], Answer]] = {
    "is-enabled": _is_enabled,
    "is-active": _is_active,
    "is-failed": _is_failed,
    "is-system-running": _is_system_running,
    "status": _status,
    "show": _show,
    "cat": _cat,
    "list-units": _list_units,
    "list-unit-files": _list_unit_files,
    "get-default": _get_default,
}


def analyze(host: Host, words: list[str], cwd: str) -> Answer:
    """``systemd-analyze cat-config systemd/journald.conf``: the main file and its drop-ins."""
    left = [word for word in words if word != "--no-pager"]
    if len(left) != 2 or left[0] != "cat-config":
        return gap("systemd-analyze", words)
    name = left[1].removeprefix("/etc/")
    base = posixpath.basename(name).removesuffix(".conf")
    paths = units_conf.files(host, base) if name == f"systemd/{base}.conf" else []
    if not paths:
        return Answer(stderr=f'Failed to open "/etc/{name}": No such file or directory\n', code=1)
    return Answer("\n".join(f"# {path}\n{host.read(path) or ''}" for path in paths))


def service(host: Host, words: list[str], cwd: str) -> Answer:
    """``service NAME status``; there are no scripts of the old kind."""
    if words == ["--status-all"]:
        return Answer()
    if len(words) == 2:
        return systemctl(host, [words[1], words[0]], cwd)
    return gap("service", words)
