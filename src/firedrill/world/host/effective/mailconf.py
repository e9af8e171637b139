"""postfix's main.cf: parameters, continued lines, lists."""

from __future__ import annotations

import re

from firedrill.world.host.effective.dropins import Tree

MAIN = "/etc/postfix/main.cf"
DEFAULTS = {"inet_interfaces": "all"}


def parameters(text: str) -> dict[str, str]:
    """Name → value: a line that begins with blanks continues the one before, the last value wins."""
    logical: list[str] = []
    for raw in text.splitlines():
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        if raw[0] in " \t" and logical:
            logical[-1] += " " + raw.strip()
        else:
            logical.append(raw.strip())
    found: dict[str, str] = {}
    for line in logical:
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found


def interfaces(tree: Tree) -> list[str]:
    """The words of inet_interfaces as postfix would read them, its default (all) included."""
    value = parameters(tree.read(MAIN) or "").get("inet_interfaces", DEFAULTS["inet_interfaces"])
    return [word for word in re.split(r"[,\s]+", value) if word]
