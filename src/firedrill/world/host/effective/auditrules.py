"""Audit rules as text: watches on files, from rules.d and as loaded."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from firedrill.world.host.effective.dropins import Tree

FOLDER = "/etc/audit/rules.d"


@dataclass(frozen=True)
class Watch:
    """A rule that records uses of one path; `perms` of r, w, x, a."""

    path: str
    perms: frozenset[str]


def merged(tree: Tree) -> list[str]:
    """The rules that augenrules would load: `*.rules` in name order, comments gone."""
    found: list[str] = []
    for name in sorted(tree.names(FOLDER)):
        if name.endswith(".rules"):
            text = tree.read(f"{FOLDER}/{name}") or ""
            stripped = (line.strip() for line in text.splitlines())
            found += [line for line in stripped if line and not line.startswith("#")]
    return found


def _words(rule: str) -> list[str]:
    try:
        return shlex.split(rule, comments=False)
    except ValueError:
        return rule.split()


def watch(rule: str) -> Watch | None:
    """The watch that a rule makes, in the form `-w PATH -p …` or `-a always,exit -F path=…`."""
    words = _words(rule)
    pairs = list(itertools.pairwise(words))
    given = {flag: value for flag, value in pairs if flag in ("-w", "-p", "-a", "-A")}
    fields = dict(value.split("=", 1) for flag, value in pairs if flag == "-F" and "=" in value)
    if "-w" in given:
        return Watch(given["-w"].rstrip("/"), frozenset(given.get("-p", "rwxa")))
    lists = set((given.get("-a") or given.get("-A") or "").split(","))
    if lists == {"always", "exit"} and "path" in fields:
        narrowed = set(fields) - {"path", "perm", "key", "arch"}
        if not narrowed and not any(word == "-S" for word in words):
            return Watch(fields["path"], frozenset(fields.get("perm", "rwxa")))
    return None


def watched(rules: Iterable[str]) -> dict[str, frozenset[str]]:
    """Path → the kinds of use that some rule records."""
    found: dict[str, frozenset[str]] = {}
    for rule in rules:
        if one := watch(rule):
            found[one.path] = found.get(one.path, frozenset()) | one.perms
    return found
