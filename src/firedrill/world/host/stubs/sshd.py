"""sshd -T and -t: the server's effective settings, for a connection or without one."""

from __future__ import annotations

import fnmatch
import functools
import ipaddress
from importlib import resources

import yaml

from firedrill.world.host.effective import sshd as configured
from firedrill.world.host.effective.sshd import Setting
from firedrill.world.host.records import Host
from firedrill.world.host.stubs.answering import Answer, gap
from firedrill.world.host.stubs.words import UnknownOptionError, read

OTHER_NAMES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
    "rsaminsize": "requiredrsasize",
}
SPLIT = ("allowusers", "denyusers", "allowgroups", "denygroups", "acceptenv")
"""Settings whose every word is a value, and whose lines add up."""
TIMES = ("logingracetime", "clientaliveinterval")
OLD = frozenset(
    (
        "useprivilegeseparation",
        "protocol",
        "keyregenerationinterval",
        "serverkeybits",
        "rhostsrsaauthentication",
        "rsaauthentication",
        "uselogin",
        "include",
        "match",
        "setenv",
        "authorizedkeysfile2",
        "keepalive",
        "checkmail",
        "verifyreversemapping",
        "reversemappingcheck",
        "permitdynamicforwarding",
    )
)
"""Keywords that are read without being printed."""
_COMMAS = frozenset(
    (
        "ciphers",
        "macs",
        "kexalgorithms",
        "casignaturealgorithms",
        "hostbasedacceptedalgorithms",
        "hostkeyalgorithms",
        "pubkeyacceptedalgorithms",
    )
)


@functools.cache
def defaults() -> dict[str, str | list[str]]:
    """Keyword to built-in value, in the order in which they are printed."""
    text = (resources.files("firedrill.world.host.stubs") / "data" / "sshd.yaml").read_text("utf-8")
    found: dict[str, str | list[str]] = yaml.safe_load(text)
    return found


def sshd(host: Host, words: list[str], cwd: str) -> Answer:
    """``sshd -T [-C user=…,host=…,addr=…]`` and ``sshd -t``."""
    try:
        options = read(words, "-T -t -G -q -V", "-C -f -o")
    except UnknownOptionError:
        return gap("sshd", words)
    if options.has("-V"):
        return Answer(stderr="OpenSSH_8.7p1, OpenSSL 3.0.7 1 Nov 2022\n")
    if options.has("-o") or not options.has("-T", "-t", "-G"):
        return gap("sshd", words)
    path = options.value("-f", default=configured.MAIN)
    if host.read(path) is None:
        return Answer(stderr=f"{path}: No such file or directory\n", code=1)
    found = configured.settings(host, path)
    wrong = [one for one in found if not _known(one.keyword)]
    if wrong:
        said = "".join(f"{_where(host, one)}: Bad configuration option: {one.keyword}\n" for one in wrong)
        return Answer(stderr=f"{said}{path}: terminating, {len(wrong)} bad configuration options\n", code=255)
    if options.has("-t") and not options.has("-T"):
        return Answer()
    connection = dict(value.split("=", 1) for value in options.values("-C") if "=" in value)
    return Answer("".join(lines(found, connection)))


def _known(keyword: str) -> bool:
    return OTHER_NAMES.get(keyword, keyword) in defaults() or keyword in OLD


def _where(host: Host, one: Setting) -> str:
    for number, line in enumerate((host.read(one.path) or "").splitlines(), 1):
        words = line.replace("=", " ").split()
        if words and words[0].lower() == one.keyword:
            return f"{one.path}: line {number}"
    return one.path


def lines(found: list[Setting], connection: dict[str, str]) -> list[str]:
    """What is printed: Match blocks that fit the connection before the rest, the first value each."""
    fitting = [one for one in found if one.match is not None and fits(one.match, connection)]
    chosen: dict[str, list[str]] = {}
    closed: set[str] = set()
    for group in (fitting, [one for one in found if one.match is None]):
        here: set[str] = set()
        for one in group:
            keyword = OTHER_NAMES.get(one.keyword, one.keyword)
            adding = keyword in (*SPLIT, "port", "listenaddress", "hostkey", "subsystem")
            if keyword in closed or (keyword in here and not adding):
                continue
            here.add(keyword)
            values = list(one.arguments) if keyword in SPLIT else [one.value]
            chosen.setdefault(keyword, []).extend(values)
        closed |= here
    printed = []
    for keyword, usual in defaults().items():
        given = chosen.get(keyword)
        if keyword == "listenaddress":
            printed += [f"listenaddress {_address(value, chosen)}\n" for value in given or ["::", "0.0.0.0"]]  # noqa: S104
        elif given is None:
            values = usual if isinstance(usual, list) else [usual]
            printed += [f"{keyword} {value}\n" for value in values]
        else:
            printed += [f"{keyword} {shown(keyword, value)}\n" for value in given]
    return printed


def _address(value: str, chosen: dict[str, list[str]]) -> str:
    port = (chosen.get("port") or ["22"])[0]
    if value.startswith("["):
        return value if "]:" in value else f"{value}:{port}"
    if value.count(":") == 1:
        return value
    return f"[{value}]:{port}" if ":" in value else f"{value}:{port}"


def shown(keyword: str, value: str) -> str:
    """A value as sshd prints it: times in seconds, yes and no in lower case."""
    if keyword in TIMES:
        total = 0 if value.lower() == "none" else configured.seconds(value)
        return value if total is None else str(total)
    if keyword == "permitrootlogin":
        lower = value.lower()
        return "without-password" if lower == "prohibit-password" else lower
    if keyword in _COMMAS and value[:1] in "+-^":
        usual = str(defaults()[keyword]).split(",")
        words = value[1:].split(",")
        if value[0] == "-":
            return ",".join(one for one in usual if not any(fnmatch.fnmatchcase(one, word) for word in words))
        rest = [one for one in usual if one not in words]
        return ",".join(
            [*words, *rest] if value[0] == "^" else [*usual, *(word for word in words if word not in usual)]
        )
    usual_value = defaults().get(keyword)
    if value.lower() in ("true", "false") and usual_value in ("yes", "no"):
        return "yes" if value.lower() == "true" else "no"
    if keyword in ("loglevel", "syslogfacility"):
        return value.upper()
    return (
        value.lower()
        if value.lower() in ("yes", "no", "any", "none", "local", "remote", "all", "delayed")
        else value
    )


def fits(condition: str, connection: dict[str, str]) -> bool:
    """Whether a Match condition holds; what the connection does not say never matches."""
    words = condition.replace("=", " ").split()
    if [word.lower() for word in words] == ["all"]:
        return True
    if len(words) % 2:
        return False
    names = {"address": "addr", "localaddress": "laddr", "localport": "lport"}
    for attribute, patterns in zip(words[::2], words[1::2], strict=True):
        key = names.get(attribute.lower(), attribute.lower())
        if key not in connection or key not in ("user", "group", "host", "addr", "laddr", "lport", "rdomain"):
            return False
        if not _listed(connection[key], patterns, key in ("addr", "laddr")):
            return False
    return True


def _listed(value: str, patterns: str, address: bool) -> bool:
    hit = False
    for raw in patterns.strip('"').split(","):
        negative, pattern = raw.startswith("!"), raw.removeprefix("!")
        if address and "/" in pattern:
            try:
                fitting = ipaddress.ip_address(value) in ipaddress.ip_network(pattern, strict=False)
            except ValueError:
                fitting = False
        else:
            fitting = fnmatch.fnmatchcase(value.lower(), pattern.lower())
        if fitting and negative:
            return False
        hit = hit or fitting
    return hit
