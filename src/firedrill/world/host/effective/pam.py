"""PAM stacks and the settings of pam_faillock and pam_pwquality."""

from __future__ import annotations

import re
from dataclasses import dataclass

from firedrill.world.host.effective.dropins import Tree

STACKS = ("system-auth", "password-auth")
"""The two stacks which RHEL's services include."""

FAILLOCK = "/etc/security/faillock.conf"
PWQUALITY = "/etc/security/pwquality.conf"

_LINE = re.compile(r"^-?(?P<kind>\w+)\s+(?P<control>\[[^\]]*\]|\S+)\s+(?P<module>\S+)(?P<rest>.*)$")


@dataclass(frozen=True)
class Module:
    """One line of a stack: `kind` auth, account, password or session; `module` without its folder."""

    kind: str
    control: str
    module: str
    arguments: tuple[str, ...]

    def argument(self, name: str) -> str | None:
        """The value of `name=value`, the last one given; "" for a bare word."""
        value: str | None = None
        for word in self.arguments:
            key, _, given = word.partition("=")
            if key == name:
                value = given
        return value


def stack(tree: Tree, name: str) -> list[Module]:
    """The lines of /etc/pam.d/<name>, links followed, `include` and `substack` left as they are."""
    found: list[Module] = []
    for raw in (tree.read(f"/etc/pam.d/{name}") or "").replace("\\\n", " ").splitlines():
        line = raw.partition("#")[0].strip()
        if match := _LINE.match(line):
            module = match.group("module").rsplit("/", 1)[-1]
            words = tuple(match.group("rest").split())
            found.append(Module(match.group("kind").lower(), match.group("control"), module, words))
    return found


def modules(tree: Tree, name: str, module: str, kind: str) -> list[Module]:
    """The lines of one stack that call one module for one kind of work."""
    return [m for m in stack(tree, name) if m.module == module and m.kind == kind]


def _settings(text: str) -> dict[str, str]:
    """`name = value` lines, the last one of a name; bare words have the value ""."""
    found: dict[str, str] = {}
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        if line:
            key, _, value = line.partition("=")
            found[key.strip()] = value.strip()
    return found


def number(text: str | None) -> int | None:
    """A whole number as the modules read it; None where the text is none."""
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else None


def faillock_conf(tree: Tree) -> dict[str, str]:
    """The settings of faillock.conf."""
    return _settings(tree.read(FAILLOCK) or "")


def deny(tree: Tree, line: Module) -> int:
    """After how many failures this line of pam_faillock locks: argument, file, default 3; 0 never."""
    given = number(line.argument("deny"))
    if given is not None:
        return given
    filed = number(faillock_conf(tree).get("deny"))
    return 3 if filed is None else filed


def pwquality_conf(tree: Tree) -> dict[str, str]:
    """pwquality.conf.d in name order, then the main file, which therefore wins."""
    folder = f"{PWQUALITY}.d"
    paths = [f"{folder}/{name}" for name in sorted(tree.names(folder)) if name.endswith(".conf")]
    found: dict[str, str] = {}
    for path in [*paths, PWQUALITY]:
        found |= _settings(tree.read(path) or "")
    return found


def minlen(tree: Tree, line: Module) -> int:
    """The least length that this line of pam_pwquality asks: argument, files, default 8."""
    given = number(line.argument("minlen"))
    if given is not None:
        return given
    filed = number(pwquality_conf(tree).get("minlen"))
    return 8 if filed is None else filed
