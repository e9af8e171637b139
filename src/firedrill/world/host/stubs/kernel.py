"""sysctl, lsmod, modprobe, modinfo."""

from __future__ import annotations

import re

from firedrill.world.host.effective import modprobe as configured
from firedrill.world.host.effective.sysctl import dotted
from firedrill.world.host.records import Host
from firedrill.world.host.stubs.answering import Answer, gap
from firedrill.world.host.stubs.words import UnknownOptionError, read, table


def sysctl(host: Host, words: list[str], cwd: str) -> Answer:
    """``sysctl [-neNq] [-a | -ar pattern | key...]`` from the running values; nothing can be set."""
    try:
        options = read(
            words,
            (
                "-a --all -A -X -n --values -N --names -e --ignore -q --quiet -b --binary -w "
                "--write --system -V --version"
            ),
            "-r --pattern -p --load",
        )
    except UnknownOptionError as error:
        if str(error) in ("-p", "--load"):
            return Answer(stderr="sysctl: permission denied: this host is read only\n", code=1)
        return Answer(stderr=f"sysctl: invalid option -- '{str(error).lstrip('-')}'\n", code=1)
    if options.has("-V", "--version"):
        return Answer("sysctl from procps-ng 3.3.17\n")
    if options.has("--system", "-p", "--load"):
        return Answer(stderr="sysctl: permission denied: this host is read only\n", code=1)

    def line(key: str) -> str:
        value = host.sysctl[key]
        if options.has("-n", "--values", "-b", "--binary"):
            return value + ("\n" if not options.has("-b", "--binary") else "")
        return f"{key}\n" if options.has("-N", "--names") else f"{key} = {value}\n"

    if options.has("-a", "--all", "-A", "-X"):
        pattern = options.value("-r", "--pattern")
        keys = [
            key
            for key in sorted(host.sysctl)
            if not pattern or re.search(re.escape(pattern), key) or _fits(pattern, key)
        ]
        return Answer("".join(map(line, keys)))
    out: list[str] = []
    err: list[str] = []
    for word in options.rest:
        name, equals, _ = word.partition("=")
        key = dotted(name.strip())
        below = [known for known in sorted(host.sysctl) if known == key or known.startswith(f"{key}.")]
        if equals:
            err.append(f"sysctl: permission denied on key '{key}'\n")
        elif below:
            out += map(line, below)
        elif not options.has("-e", "--ignore"):
            path = key.replace(".", "/")
            err.append(f"sysctl: cannot stat /proc/sys/{path}: No such file or directory\n")
    if not options.rest:
        return Answer(
            stderr="sysctl: no variables specified\nTry `sysctl --help' for more information.\n", code=1
        )
    return Answer("".join(out), "".join(err), 1 if err else 0)


def _fits(pattern: str, key: str) -> bool:
    if len(pattern) > 200 or re.search(r"[+*}]\)?[+*{]|\\\d", pattern):
        return False  # could take for ever
    try:
        return re.search(pattern, key) is not None
    except re.error:
        return False


def lsmod(host: Host, words: list[str], cwd: str) -> Answer:
    """``lsmod``."""
    rows = [["Module", "Size", "Used by"], *([configured.plain(name), "16384", "0"] for name in host.modules)]
    width = max(len(row[0]) for row in rows)
    return Answer("".join(f"{row[0]:<{max(width, 20)}} {row[1]:>8}  {row[2]}\n" for row in rows))


def _file(host: Host, module: str) -> str | None:
    plain = configured.plain(module)
    known = {configured.plain(name): name for name in (*host.modules_built, *host.modules)}
    if plain not in known:
        return None
    return f"/lib/modules/{host.kernel}/kernel/drivers/{known[plain]}.ko.xz"


def modprobe(host: Host, words: list[str], cwd: str) -> Answer:
    """``modprobe -n -v module`` and ``modprobe --showconfig``; loading is refused."""
    try:
        options = read(
            words,
            (
                "-n --dry-run --show -v --verbose -c --showconfig --show-config -q --quiet -r "
                "--remove -D --show-depends -b --use-blacklist -a --all -i --ignore-install -f -V "
                "--version --first-time"
            ),
            "-S --set-version -C -d",
        )
    except UnknownOptionError as error:
        return Answer(stderr=f"modprobe: invalid option -- '{str(error).lstrip('-')}'\n", code=1)
    if options.has("-V", "--version"):
        return Answer("kmod version 28\n")
    if options.has("-c", "--showconfig", "--show-config"):
        return Answer("".join(_shown(host)))
    if not options.rest:
        return Answer(stderr="modprobe: ERROR: missing parameters. See -h.\n", code=1)
    if not options.has("-n", "--dry-run", "--show", "-D", "--show-depends"):
        return Answer(
            stderr=f"modprobe: ERROR: could not insert '{options.rest[0]}': Operation not permitted\n", code=1
        )
    out: list[str] = []
    for module in options.rest if options.has("-a", "--all") else options.rest[:1]:
        path = _file(host, module)
        installs = configured.installs(host, module)
        talks = options.has("-v", "--verbose", "-D", "--show-depends")
        loaded = configured.plain(module) in map(configured.plain, host.modules)
        if options.has("-r", "--remove"):
            if loaded and talks:
                out.append(f"rmmod {configured.plain(module)}\n")
        elif options.has("-b", "--use-blacklist") and configured.blacklisted(host, module):
            continue
        elif installs and not options.has("-i", "--ignore-install"):
            if not loaded or options.has("-D", "--show-depends"):
                out += [f"install {installs[-1]}\n"] if talks else []
        elif path is None:
            quiet = options.has("-q", "--quiet")
            said = f"modprobe: FATAL: Module {module} not found in directory /lib/modules/{host.kernel}\n"
            return Answer("".join(out), "" if quiet else said, 1)
        elif talks and (not loaded or options.has("-D", "--show-depends")):
            out.append(f"insmod {path} \n")
    return Answer("".join(out))


def _shown(host: Host) -> list[str]:
    found = configured.directives(host)
    order = ("blacklist", "install", "remove", "alias", "options", "softdep")
    lines = []
    for kind in order:
        for words in found:
            if words[0] == kind and len(words) > 1:
                lines.append(" ".join([kind, configured.plain(words[1]), *words[2:]]) + "\n")
    return lines


def modinfo(host: Host, words: list[str], cwd: str) -> Answer:
    """``modinfo [-n | -F field] module``."""
    try:
        options = read(words, "-n --filename -0", "-F --field -k")
    except UnknownOptionError:
        return gap("modinfo", words)
    if not options.rest:
        return Answer(stderr="modinfo: ERROR: missing module or filename.\n", code=1)
    out, err = [], []
    for module in options.rest:
        path = _file(host, module)
        if path is None:
            err.append(f"modinfo: ERROR: Module {module} not found.\n")
            continue
        fields = {"filename": path, "license": "GPL", "name": configured.plain(module), "intree": "Y"}
        wanted = "filename" if options.has("-n", "--filename") else options.value("-F", "--field")
        if wanted:
            out.append(f"{fields.get(wanted, '')}\n")
        else:
            out += [f"{key + ':':<16}{value}\n" for key, value in fields.items()]
    return Answer("".join(out), "".join(err), 1 if err else 0)


def swapon(host: Host, words: list[str], cwd: str) -> Answer:
    """``swapon --show``: no swap is recorded."""
    return Answer(table([])) if set(words) <= {"-s", "--show", "--noheadings"} else gap("swapon", words)
