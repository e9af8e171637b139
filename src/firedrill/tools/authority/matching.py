"""Whether a rule is about a request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

from firedrill.gateway.kubernetes.guarding import STREAMS
from firedrill.tools.authority.comparing import pointers
from firedrill.tools.authority.effects import effects_of
from firedrill.world.kube.objects import dig, name_of, namespace_of
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.guarding import Asked
    from firedrill.tools.authority.model import Match, Range

_ORDINARY = frozenset({"", "log", "scale"})
"""Subresources that belong to a resource that an `allow` names."""


@dataclass(frozen=True)
class Case:
    """A request as rules look at it."""

    asked: Asked

    @cached_property
    def effects(self) -> frozenset[str]:
        """What it comes to."""
        return effects_of(self.asked)

    @cached_property
    def verbs(self) -> tuple[str, ...]:
        """Its verb, and whether it reads or writes. Reaching into what runs is `create`, by any method."""
        asked = self.asked
        verb = "create" if asked.subresource in STREAMS else asked.verb
        return (verb, "write" if asked.writes else "read")

    @cached_property
    def targets(self) -> tuple[tuple[str, str], ...] | None:
        """Namespaces and names that it is about; None where it is about more than can be told: a list."""
        asked = self.asked
        if asked.before:
            inside = {(namespace_of(obj) or asked.namespace, name_of(obj)) for obj in asked.before}
            return tuple(sorted(_in_itself(asked, space, name) for space, name in inside))
        if asked.verb == "deletecollection" and not asked.refusal:
            return ()
        return (_in_itself(asked, asked.namespace, asked.name),) if asked.name else None

    @cached_property
    def ages(self) -> tuple[float, ...]:
        """Minutes since the objects that it is about were made."""
        now = self.asked.now_ms
        times = [dig(obj, "metadata", "creationTimestamp") for obj in self.asked.before]
        return tuple((now - epoch_ms(time)) / 60_000 if time else 0.0 for time in times) or (0.0,)

    @cached_property
    def fields(self) -> tuple[str, ...] | None:
        """JSON pointers of what changes; None where that is not a change of one object."""
        asked = self.asked
        if asked.after is None or len(asked.before) != 1:
            return None
        return pointers(asked.before[0], asked.after)


def fits(match: Match, case: Case, *, permits: bool) -> bool:
    """Whether a rule is about a request.

    Args:
        permits: the rule lets it pass without a question. It then has to fit all that the request is
            about; any other rule fits as soon as one part of it does.
    """
    asked = case.asked
    resource, _, group = asked.resource.partition(".")
    return (
        _any(match.apis, (asked.api,))
        and _any(match.users, (asked.user,))
        and (not match.verbs or bool({*case.verbs, "*"} & set(match.verbs)))
        and _any(match.resources, (asked.resource, resource))
        and _any(match.kinds, (asked.kind,))
        and _any(match.groups, (group or "core",))
        and _subresource(match, asked.subresource, permits=permits)
        and _places(match, case, permits=permits)
        and (not match.effects or bool(case.effects & set(match.effects)))
        and not case.effects & set(match.without)
        and _fields(match.only, case)
        and (not match.programs or _any(match.programs, asked.command[:1]))
        and (match.dry_run is None or match.dry_run == asked.dry_run)
        and _within(match.count, asked.count)
        and _aged(match.age, case, permits=permits)
    )


def _any(patterns: Sequence[str], words: Iterable[str]) -> bool:
    if not patterns:
        return True
    return any(fnmatchcase(word, pattern) for word in words for pattern in patterns)


def _subresource(match: Match, subresource: str, *, permits: bool) -> bool:
    if match.subresources:
        return _any(match.subresources, (subresource,))
    narrow = bool(match.resources or match.kinds or match.groups)
    return not (permits and narrow) or subresource in _ORDINARY


def _places(match: Match, case: Case, *, permits: bool) -> bool:
    if not match.namespaces and not match.names:
        return True
    targets = case.targets
    if targets is None:
        space = case.asked.namespace
        if not permits:
            return not space or _any(match.namespaces, (space,))
        everything = "*" in match.names or not match.names
        return (
            everything
            and _any(match.namespaces, (space,))
            and bool(space or "*" in match.namespaces or not match.namespaces)
        )
    found = [_any(match.namespaces, (space,)) and _any(match.names, (name,)) for space, name in targets]
    return all(found) if permits else any(found)


def _fields(pointers: Sequence[str], case: Case) -> bool:
    if not pointers:
        return True
    return case.fields is not None and all(_any(pointers, (field,)) for field in case.fields)


def _within(wanted: Range | None, number: float) -> bool:
    if wanted is None:
        return True
    return (wanted.above is None or number > wanted.above) and (wanted.below is None or number < wanted.below)


def _aged(wanted: Range | None, case: Case, *, permits: bool) -> bool:
    if wanted is None:
        return True
    found = [_within(wanted, minutes) for minutes in case.ages]
    return all(found) if permits else any(found)


def _in_itself(asked: Asked, space: str, name: str) -> tuple[str, str]:
    """A namespace lies in itself, so that a rule about a namespace is about deleting it too."""
    return (name, name) if asked.resource == "namespaces" else (space, name)
