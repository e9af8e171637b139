"""rpm, dnf and yum: installed packages."""

from __future__ import annotations

import configparser
import fnmatch
import re

from firedrill.world.host.records import Host, Package
from firedrill.world.host.stubs.answering import Answer, gap
from firedrill.world.host.stubs.words import UnknownOptionError, read

_TAG = re.compile(r"%(?P<width>-?\d*)\{(?P<tag>[A-Za-z:]+)\}")
_READ_ONLY = (
    "Error: This command has to be run with superuser privileges (under the root user on most systems).\n"
)
CHANGES = frozenset(
    (
        "install",
        "remove",
        "erase",
        "update",
        "upgrade",
        "downgrade",
        "reinstall",
        "autoremove",
        "swap",
        "module",
        "group",
        "clean",
        "makecache",
        "mark",
        "distro-sync",
    )
)


def tag(package: Package, name: str) -> str | None:
    """A tag's value as rpm prints it; None for one that is not recorded."""
    epoch = f"{package.epoch}:" if package.epoch else ""
    evr = f"{epoch}{package.version}-{package.release}"
    known = {
        "NAME": package.name,
        "VERSION": package.version,
        "RELEASE": package.release,
        "ARCH": package.arch,
        "EPOCH": package.epoch or "(none)",
        "EPOCHNUM": package.epoch or "0",
        "EVR": evr,
        "NVR": f"{package.name}-{package.version}-{package.release}",
        "NVRA": package.nvra,
        "NEVRA": f"{package.name}-{evr}.{package.arch}",
        "NEVR": f"{package.name}-{evr}",
        "VENDOR": "Red Hat, Inc.",
        "SIGPGP:PGPSIG": "RSA/SHA256, Key ID 199e2f91fd431d51",
    }
    return known.get(name.upper())


def formatted(package: Package, pattern: str) -> str | None:
    """A query format filled in; None when it asks for a tag that is not recorded."""
    missing = []

    def fill(match: re.Match[str]) -> str:
        value = tag(package, match["tag"])
        if value is None:
            missing.append(match["tag"])
            return ""
        width = int(match["width"] or 0) if match["width"] not in ("", "-") else 0
        return value.ljust(-width) if width < 0 else value.rjust(min(width, 200))

    text = _TAG.sub(fill, pattern)
    text = text.replace("\\n", "\n").replace("\\t", "\t")
    return None if missing else text


def _found(host: Host, name: str) -> list[Package]:
    return [
        package
        for _, package in sorted(host.packages.items())
        if name in (package.name, package.nvra, tag(package, "NVR"), f"{package.name}.{package.arch}")
    ]


def rpm(host: Host, words: list[str], cwd: str) -> Answer:
    """``rpm -q``, ``-qa``, ``-qi`` and query formats; what changes packages is refused."""
    try:
        options = read(
            words,
            (
                "-q -a -i -l -c -d -V --query --all --info --quiet --nosignature --nodigest "
                "--verify --version -e -U -h -v -F --list --noscripts --last"
            ),
            "--qf --queryformat -f --file --whatprovides --eval -E -K --import",
        )
    except UnknownOptionError as error:
        return Answer(stderr=f"rpm: {error}: unknown option\n", code=1, gap=True)
    if options.has("--version"):
        return Answer("RPM version 4.16.1.3\n")
    if options.has("-e", "-U", "-F", "--import") or (options.has("-i") and not options.has("-q", "--query")):
        return Answer(
            stderr="error: can't create transaction lock on /var/lib/rpm/.rpm.lock (Permission denied)\n",
            code=1,
        )
    if options.has("--eval", "-E"):
        macros = {"%{rhel}": "9", "%rhel": "9", "%{dist}": ".el9", "%{_arch}": "x86_64"}
        value = macros.get(options.value("--eval", "-E"))
        return gap("rpm", words) if value is None else Answer(f"{value}\n")
    if not options.has("-q", "--query") or options.has(
        "-f", "--file", "-l", "--list", "-c", "-d", "-V", "--last"
    ):
        return _verify(host, words, options.rest)
    return _query(
        host,
        words,
        options.has("-a", "--all"),
        options.has("-i", "--info"),
        options.rest,
        options.value("--qf", "--queryformat"),
        options.has("--whatprovides"),
        options.values("--whatprovides"),
    )


def _verify(host: Host, words: list[str], names: list[str]) -> Answer:
    missing = [name for name in names if not _found(host, name)]
    if names and missing == names and not any(name.startswith("/") for name in names):
        return Answer("".join(f"package {name} is not installed\n" for name in names), "", len(names))
    return gap("rpm", words)


def _query(
    host: Host,
    words: list[str],
    everything: bool,
    info: bool,
    names: list[str],
    pattern: str,
    provides: bool,
    provided: list[str],
) -> Answer:
    out: list[str] = []
    code = 0
    chosen: list[Package | str] = []
    if everything:
        chosen += [
            package
            for _, package in sorted(host.packages.items())
            if not names
            or any(fnmatch.fnmatchcase(package.name, name) or name == package.nvra for name in names)
        ]
    elif not names and not provides:
        return Answer(stderr="rpm: no arguments given for query\n", code=1)
    else:
        for name in [*names, *provided]:
            missing = f"no package provides {name}" if provides else f"package {name} is not installed"
            chosen += _found(host, name) or [missing]
    for package in chosen:
        if isinstance(package, str):
            out.append(f"{package}\n")
            code += 1
            continue
        text = formatted(package, pattern) if pattern else f"{package.nvra}\n"
        if info:
            text = formatted(
                package,
                "Name        : %{NAME}\\nEpoch       : %{EPOCH}\\nVersion     : %{VERSION}\\n"
                "Release     : %{RELEASE}\\nArchitecture: %{ARCH}\\nVendor      : %{VENDOR}\\n",
            )
            text = (text or "").replace("Epoch       : (none)\n", "")
        if text is None:
            return gap("rpm", words)
        out.append(text)
    return Answer("".join(out), "", code)


def dnf(host: Host, words: list[str], cwd: str) -> Answer:
    """``dnf list [--installed]``, ``repolist``, ``--version``; installs are refused."""
    try:
        options = read(
            words,
            (
                "-q --quiet -y --assumeyes -C --cacheonly --installed --version -v --all "
                "--enabled --disabled --available --assumeno --refresh --security"
            ),
            "--disablerepo --enablerepo -x --exclude -d -e --setopt",
        )
    except UnknownOptionError:
        return gap("dnf", words)
    if options.has("--version"):
        return Answer("4.14.0\n")
    verb, *rest = options.rest or ["help"]
    if verb in CHANGES:
        return Answer(stderr=_READ_ONLY, code=1)
    if verb == "repolist":
        return Answer(_repositories(host, options.has("--all"), options.has("--disabled")))
    if verb == "list" and (options.has("--installed") or rest[:1] == ["installed"]):
        return _list(host, [name for name in rest if name != "installed"])
    return gap("dnf", words)


def _list(host: Host, names: list[str]) -> Answer:
    chosen = [
        package
        for _, package in sorted(host.packages.items())
        if not names
        or any(
            fnmatch.fnmatchcase(package.name, name) or name == f"{package.name}.{package.arch}"
            for name in names
        )
    ]
    if not chosen:
        return Answer(stderr="Error: No matching Packages to list\n", code=1)
    lines = ["Installed Packages\n"]
    for package in chosen:
        epoch = f"{package.epoch}:" if package.epoch else ""
        evr = f"{epoch}{package.version}-{package.release}"
        lines.append(f"{package.name + '.' + package.arch:<40} {evr:<32} @anaconda\n")
    return Answer("".join(lines))


def _repositories(host: Host, everything: bool, disabled: bool) -> str:
    rows = []
    for name in host.names("/etc/yum.repos.d"):
        if not name.endswith(".repo"):
            continue
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(host.read(f"/etc/yum.repos.d/{name}") or "")
        except configparser.Error:
            continue
        for section in parser.sections():
            on = parser[section].get("enabled", "1").strip().lower() in ("1", "yes", "true")
            if everything or on != disabled:
                rows.append((section, parser[section].get("name", section), "enabled" if on else "disabled"))
    if not rows:
        return ""
    width = max(7, *(len(row[0]) for row in rows))
    return f"{'repo id':<{width}} repo name\n" + "".join(
        f"{row[0]:<{width}} {row[1]}\n" for row in sorted(rows)
    )
