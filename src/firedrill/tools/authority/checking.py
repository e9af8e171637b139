"""What is wrong with a policy file, told with the field and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError

from firedrill.core.errors import InputError
from firedrill.tools.authority.model import (
    APIS,
    VERBS,
    ApproverSpec,
    Match,
    Metadata,
    Policy,
    Range,
    Rule,
    Unmatched,
)
from firedrill.tools.authority.vocabulary import EFFECTS


def told(error: ValidationError, source: str) -> InputError:
    """What is wrong with the form of a file."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    field = ".".join(path) or "the file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _fields_at(path[:-1])
        close = get_close_matches(path[-1], known, 1)
        mend = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(known)}"
        return InputError(f"is no field of a policy{more}", source=source, field=field, mend=mend)
    if first["type"] == "missing":
        return InputError(f"is missing{more}", source=source, field=field, mend=f"write `{path[-1]}: …`")
    if first["type"] == "literal_error":
        close = get_close_matches(str(first["input"]), _words(first["ctx"]["expected"]), 1)
        mend = f"did you mean `{close[0]}`?" if close else f"use {first['ctx']['expected']}"
        return InputError(f"is {first['input']!r}{more}", source=source, field=field, mend=mend)
    if first["type"] == "string_pattern_mismatch":
        mend = "use small letters, digits and hyphens, as in `no-namespaces`"
        return InputError(f"{first['input']!r} is no name{more}", source=source, field=field, mend=mend)
    mend = "write a list, as in `[pods]`" if first["type"] == "tuple_type" else "see docs/authority.md"
    problem = first["msg"][0].lower() + first["msg"][1:]
    return InputError(f"{problem}{more}", source=source, field=field, mend=mend)


def _words(expected: str) -> list[str]:
    return [word.strip(" '") for part in expected.split(",") for word in part.split(" or ")]


def _fields_at(path: list[str]) -> list[str]:
    model: Any = Policy
    homes = {
        "metadata": Metadata, "rules": Rule, "match": Match, "count": Range, "age": Range,
        "unmatched": Unmatched, "approver": ApproverSpec,
    }  # fmt: skip
    for part in path:
        model = homes.get(part, model)
    return sorted(model.model_fields)


def check(policy: Policy, source: str) -> None:
    """Refuse words that nobody knows: a rule with a slip of the pen in it would never fit.

    Raises:
        InputError: naming the first.
    """
    _check_rules(policy.rules, "rules", source)
    approver = policy.approver
    if approver is not None:
        _check_rules(approver.rules, "approver.rules", source)
        for number, rule in enumerate(approver.rules):
            if rule.effect == "ask":
                field = f"approver.rules.{number}.effect"
                mend = "write allow or deny"
                raise InputError("an approver cannot ask in turn", source=source, field=field, mend=mend)
        if approver.kind == "webhook" and not approver.url.startswith(("http://", "https://")):
            mend = "write `url: https://…`"
            raise InputError("a webhook needs an address", source=source, field="approver.url", mend=mend)
    asks = [f"rules.{i}.effect" for i, rule in enumerate(policy.rules) if rule.effect == "ask"]
    asks += [f"unmatched.{way}" for way in ("read", "write") if getattr(policy.unmatched, way) == "ask"]
    if asks and approver is None and not policy.extends:
        mend = "add `approver: {kind: lead, minutes: 2}`"
        raise InputError("nobody is named who could be asked", source=source, field=asks[0], mend=mend)


def _check_rules(rules: Iterable[Rule], where: str, source: str) -> None:
    seen: dict[str, str] = {}
    for number, rule in enumerate(rules):
        at = f"{where}.{number}"
        if rule.name in seen:
            mend = "give each rule a name of its own"
            raise InputError(
                f"{rule.name!r} is also {seen[rule.name]}", source=source, field=f"{at}.name", mend=mend
            )
        seen[rule.name] = at
        match = rule.match
        _known(match.verbs, VERBS, f"{at}.match.verbs", "verb", source)
        _known(match.apis, APIS, f"{at}.match.apis", "API", source)
        _known(match.effects, EFFECTS, f"{at}.match.effects", "effect", source)
        _known(match.without, EFFECTS, f"{at}.match.without", "effect", source)
        _known_resources(match.resources, f"{at}.match.resources", source)
        _near(match.kinds, f"{at}.match.kinds", source)
        for index, pointer in enumerate(match.only):
            if not pointer.startswith("/"):
                field, mend = f"{at}.match.only.{index}", "write `/metadata/annotations/*`"
                raise InputError(f"{pointer!r} is no JSON pointer", source=source, field=field, mend=mend)


def _near(given: Iterable[str], field: str, source: str) -> None:
    """Refuse what is nearly a kind; others may be defined later."""
    for number, word in enumerate(given):
        close = [] if word in _kinds() else get_close_matches(word, _kinds(), 1, 0.85)
        if close:
            mend = f"did you mean `{close[0]}`?"
            raise InputError(
                f"there is no kind {word!r}", source=source, field=f"{field}.{number}", mend=mend
            )


def _known(given: Iterable[str], known: Iterable[str], field: str, what: str, source: str) -> None:
    words = tuple(known)
    for number, word in enumerate(given):
        if word in words:
            continue
        close = get_close_matches(word, words, 1)
        mend = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(words[:30])}"
        raise InputError(f"there is no {what} {word!r}", source=source, field=f"{field}.{number}", mend=mend)


def _known_resources(given: Iterable[str], field: str, source: str) -> None:
    """Refuse plural names without a group that no kind has; what has a group may be defined later."""
    words = _plurals()
    for number, word in enumerate(given):
        if "." in word or set(word) & set("*?[") or word in words:
            continue
        singular = {kind.lower(): plural for kind, plural in _by_kind().items()}
        close = [singular[word.lower()]] if word.lower() in singular else get_close_matches(word, words, 1)
        mend = (
            f"did you mean `{close[0]}`?"
            if close
            else "write `<plural>.<group>` for what is no part of Kubernetes"
        )
        raise InputError(
            f"there is no resource {word!r}", source=source, field=f"{field}.{number}", mend=mend
        )


@cache
def _by_kind() -> Mapping[str, str]:
    from firedrill.world.kube.kinds import default_kinds

    return {kind.kind: kind.plural for kind in default_kinds().all()}


@cache
def _plurals() -> tuple[str, ...]:
    return (*sorted(set(_by_kind().values())), "silences")


@cache
def _kinds() -> tuple[str, ...]:
    return (*sorted(_by_kind()), "Silence")
