"""Objects against the pattern of a validate rule, with anchors.

`(key)` is a condition: where its value does not fit, the pattern does not apply to the map (in a list: to the
element). `<(key)` is one for the whole rule, `=(key)` looks only where the key is there, `^(key)` wants every
pattern of its list met by at least one element, `X(key)` refuses the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

from firedrill.world.policy.kyverno import wildcard
from firedrill.world.policy.kyverno.budget import Budget
from firedrill.world.policy.kyverno.leaves import leaf

Anchor = Literal["", "()", "<()", "=()", "^()", "X()", "+()"]
_ANCHOR = re.compile(r"([+<=X^])?\((.+)\)", re.DOTALL)
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why an object does not fit.

    Attributes:
        path: of the place, as `/spec/hostNetwork/`; empty where the pattern cannot be decided.
        message: what a person reads.
        kind: `skip` where a condition does not hold, `refused` for what `X()` found, else `unlike`.
    """

    path: str
    message: str
    kind: Literal["skip", "refused", "unlike"] = "unlike"


@lru_cache(maxsize=8192)
def anchor(key: str) -> tuple[Anchor, str]:
    """The anchor of a key of a pattern, and the key without it."""
    found = _ANCHOR.fullmatch(key)
    if found is None:
        return "", key
    return cast(Anchor, f"{found[1] or ''}()"), found[2]


class Overlay:
    """One comparison of an object with a pattern."""

    __slots__ = ("_budget", "_holding", "_seen")

    def __init__(self, budget: Budget | None = None) -> None:
        self._seen: dict[str, bool] = {}
        self._holding: frozenset[int] = frozenset()
        self._budget = budget or Budget()

    def compare(self, resource: Any, pattern: Any) -> Mismatch | None:
        """None where the object fits.

        Raises:
            Exhausted: it takes too long or goes too deep.
        """
        self._holding = _anchored_parts(pattern)
        found = self._element(resource, pattern, "/", 0)
        if found is None or found.kind != "unlike" or not any(not seen for seen in self._seen.values()):
            return found
        return Mismatch("", found.message)

    def _element(self, value: Any, pattern: Any, path: str, depth: int) -> Mismatch | None:
        self._budget.step()
        if depth > _DEEPEST:
            self._budget.fail("the pattern is nested too deeply")
        if isinstance(pattern, dict):
            if not isinstance(value, dict):
                types = f"Expected map[string]interface {{}}, found {_go_type(value)}"
                text = f"pattern and resource have different structures. Path: {path}. {types}"
                return Mismatch(path, text)
            self._note(pattern, value)
            return self._map(value, pattern, path, depth)
        if isinstance(pattern, list):
            if not isinstance(value, list):
                text = "resource does not satisfy the expected overlay pattern"
                return Mismatch(path, f"validation rule failed at path {path}, {text}")
            return self._list(value, pattern, path, depth)
        items = value if isinstance(value, list) else [value]
        self._budget.step(len(items))
        if all(leaf(item, pattern) for item in items):
            return None
        return Mismatch(
            path, f"resource value '{_shown(value)}' does not match '{_shown(pattern)}' at path {path}"
        )

    def _note(self, pattern: Mapping[str, Any], resource: Mapping[str, Any]) -> None:
        for key in pattern:
            kind, name = anchor(key)
            if kind in ("()", "^()", "X()") and not self._seen.get(key):
                self._seen[key] = resource.get(name) is not None

    def _map(
        self, resource: Mapping[str, Any], pattern: Mapping[str, Any], path: str, depth: int
    ) -> Mismatch | None:
        pattern = expand_metadata(pattern, resource)
        anchors = [key for key in sorted(pattern) if anchor(key)[0] not in ("", "+()")]
        # Conditions first: they say whether the rest concerns this map at all.
        for key in sorted(anchors, key=lambda item: anchor(item)[0] not in ("()", "<()")):
            found = self._anchored(resource, key, pattern[key], path, depth)
            if found is not None:
                return found
        for key in self._ordered(pattern, set(anchors)):
            found = self._plain(resource, key, pattern[key], path, depth)
            if found is not None:
                return found
        return None

    def _ordered(self, pattern: Mapping[str, Any], without: set[str]) -> list[str]:
        """Keys whose values hold anchors come first, as they may settle the matter."""
        nested: list[str] = []
        others: list[str] = []
        for key in sorted(pattern):
            if key not in without:
                (nested if id(pattern[key]) in self._holding else others).append(key)
        return [*reversed(nested), *others]

    def _plain(
        self, resource: Mapping[str, Any], key: str, pattern: Any, path: str, depth: int
    ) -> Mismatch | None:
        if pattern == "*":
            return None if resource.get(key) is not None else Mismatch(path, f"{path}/{key} not found")
        return self._element(resource.get(key), pattern, f"{path}{key}/", depth + 1)

    def _anchored(
        self, resource: Mapping[str, Any], key: str, pattern: Any, path: str, depth: int
    ) -> Mismatch | None:
        kind, name = anchor(key)
        here = f"{path}{name}/"
        if kind == "X()":
            if name not in resource:
                return None
            return Mismatch(here, f"negation anchor matched in resource: {here} is not allowed", "refused")
        if name not in resource:
            if kind == "()":
                text = "conditional anchor mismatch: conditional anchor key doesn't exist in the resource"
                return Mismatch(here, text, "skip")
            return None
        if kind == "^()":
            return self._exists(resource[name], pattern, here, depth)
        found = self._element(resource[name], pattern, here, depth + 1)
        if found is None or kind == "=()":
            return found
        word = "conditional" if kind == "()" else "global"
        return Mismatch(found.path, f"{word} anchor mismatch: {found.message}", "skip")

    def _exists(self, value: Any, pattern: Any, path: str, depth: int) -> Mismatch | None:
        if not isinstance(value, list):
            text = "Existence ^ () anchor can be used only on list/array type resource"
            return Mismatch(path, f"invalid resource type {_go_type(value)}: {text}")
        if not isinstance(pattern, list):
            text = "Pattern has to be of list to compare against resource"
            return Mismatch(path, f"invalid pattern type {_go_type(pattern)}: {text}")
        for wanted in pattern:
            if not isinstance(wanted, dict):
                text = "Pattern has to be of type map to compare against items in resource"
                return Mismatch(path, f"invalid pattern type {_go_type(pattern)}: {text}")
            if not any(
                self._element(item, wanted, f"{path}{at}/", depth + 1) is None
                for at, item in enumerate(value)
            ):
                return Mismatch(path, f"existence anchor validation failed at path {path}")
        return None

    def _list(self, value: list[Any], pattern: list[Any], path: str, depth: int) -> Mismatch | None:
        if not pattern:
            return Mismatch(path, "pattern Array empty")
        first = pattern[0]
        if isinstance(first, dict):
            return self._each(((item, first) for item in value), path, depth)
        if not isinstance(first, list):
            return self._element(value, first, path, depth + 1)
        if len(value) < len(pattern):
            text = "validate Array failed, array length mismatch, resource Array len is"
            return Mismatch("", f"{text} {len(value)} and pattern Array len is {len(pattern)}")
        return self._each(zip(value, pattern, strict=False), path, depth)

    def _each(self, pairs: Any, path: str, depth: int) -> Mismatch | None:
        applied, skipped = 0, []
        for at, (item, wanted) in enumerate(pairs):
            found = self._element(item, wanted, f"{path}{at}/", depth + 1)
            if found is None:
                applied += 1
            elif found.kind == "skip":
                skipped.append(found.message)
            else:
                return found
        if applied or not skipped:
            return None
        return Mismatch(path, "; ".join(skipped[:20]), "skip")


def _anchored_parts(pattern: Any) -> frozenset[int]:
    """The `id`s of the parts of a pattern that hold anchors at any depth."""
    out: set[int] = set()
    waiting = [pattern]
    trail: dict[int, int] = {}
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            inner = list(here.values())
            if any(anchor(key)[0] not in ("", "+()") for key in here):
                _mark(id(here), out, trail)
        elif isinstance(here, list):
            inner = here
        else:
            continue
        for item in inner:
            if isinstance(item, dict | list):
                trail.setdefault(id(item), id(here))
                waiting.append(item)
    return frozenset(out)


def _mark(at: int, out: set[int], trail: dict[int, int]) -> None:
    while at not in out:
        out.add(at)
        if at not in trail:
            return
        at = trail[at]


def expand_metadata(pattern: Mapping[str, Any], resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pattern with wildcards in the keys of labels and annotations replaced by keys of the resource."""
    key = next((item for item in pattern if anchor(item)[1] == "metadata"), None)
    inner = pattern[key] if key is not None else None
    given = resource.get("metadata")
    if key is None or not isinstance(inner, dict) or not isinstance(given, dict):
        return pattern
    changed = dict(inner)
    for tag in inner:
        name = anchor(tag)[1]
        entries, there = inner[tag], given.get(name)
        if name in ("labels", "annotations") and isinstance(entries, dict) and isinstance(there, dict):
            changed[tag] = {_expanded(item, there): value for item, value in entries.items()}
    return {**pattern, key: changed}


def _expanded(key: str, there: Mapping[str, Any]) -> str:
    kind, name = anchor(key)
    if not wildcard.contains(name):
        return key
    found = next((item for item in sorted(there) if wildcard.match(name, item)), name)
    return f"{kind[:-2]}({found})" if kind else found


def _go_type(value: Any) -> str:
    if value is None:
        return "<nil>"
    names: tuple[tuple[type, str], ...] = (
        (bool, "bool"),
        (str, "string"),
        (int, "int64"),
        (float, "float64"),
        (list, "[]interface {}"),
        (dict, "map[string]interface {}"),
    )
    return next((name for type_, name in names if isinstance(value, type_)), "unknown")


def _shown(value: Any) -> str:
    from firedrill.world.policy.kyverno.scalars import as_text

    if isinstance(value, dict | list) and len(value) > 50:
        return f"{_go_type(value)} of {len(value)}"
    return as_text(value)[:500]
