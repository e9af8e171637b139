"""How well artefacts tell compliant worlds from others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from firedrill.core.compliance import ComplianceFacts, Judged, ObjectVerdict

_BAD = frozenset({"fail", "block"})


@dataclass(frozen=True, slots=True)
class Posture:
    """Over all variants, but `balanced` over the hidden ones alone.

    Attributes:
        right: variants that were judged rightly in all their objects, of `total`.
        balanced: share of non-compliant hidden variants judged rightly, plus that of compliant ones, less 1:
            at most 0 for any constant answer, 1 at best.
        false_alarms: traps of variants in which something compliant was called a violation.
        misses: traps of variants in which a violation was not called one.
        undecided: traps of variants with an error or without a verdict.
        precision, recall: of the violating objects named; None where nothing is named at all.
        flaky: the same variant was judged otherwise a second time.
    """

    right: int
    total: int
    balanced: float
    false_alarms: tuple[str, ...]
    misses: tuple[str, ...]
    undecided: tuple[str, ...]
    precision: float | None
    recall: float | None
    flaky: bool

    @property
    def perfect(self) -> bool:
        """Whether every verdict is right, each time."""
        return self.total > 0 and self.right == self.total and not self.flaky


def posture(facts: ComplianceFacts) -> Posture:
    """What the artefacts' verdicts are worth."""
    judged = facts.judged
    hidden = [item for item in judged if item.hidden]
    precision, recall = _named(judged)
    again = facts.again
    first = next((item for item in judged if again is not None and item.name == again.name), None)
    return Posture(
        right=sum(item.right for item in judged),
        total=len(judged),
        balanced=_balanced(hidden),
        false_alarms=tuple(_trap(item) for item in judged if _alarms(item)),
        misses=tuple(_trap(item) for item in judged if _misses(item)),
        undecided=tuple(_trap(item) for item in judged if _undecided(item)),
        precision=precision,
        recall=recall,
        flaky=first is not None and again is not None and _verdicts(first) != _verdicts(again),
    )


def _balanced(hidden: Iterable[Judged]) -> float:
    items = list(hidden)
    good = [item.right for item in items if item.compliant]
    bad = [item.right for item in items if not item.compliant]
    if not good or not bad:
        return 0.0
    return sum(good) / len(good) + sum(bad) / len(bad) - 1


def _trap(item: Judged) -> str:
    return item.trap or item.name


def _alarm(item: ObjectVerdict) -> bool:
    return item.got in _BAD and item.expected not in _BAD


def _missed(item: ObjectVerdict) -> bool:
    return item.expected in _BAD and item.got == "pass"


def _alarms(item: Judged) -> bool:
    if item.objects:
        return any(_alarm(one) for one in item.objects)
    return item.compliant and item.got == "fail"


def _misses(item: Judged) -> bool:
    if item.objects:
        return any(_missed(one) for one in item.objects)
    return not item.compliant and item.got == "pass"


def _undecided(item: Judged) -> bool:
    return item.got not in ("pass", "fail") or any(one.got == "error" for one in item.objects)


def _named(judged: Iterable[Judged]) -> tuple[float | None, float | None]:
    true = called = wanted = 0
    any_named = False
    for item in judged:
        truth = set(item.violating)
        if item.objects:
            named = {one.object for one in item.objects if one.got in _BAD}
        elif item.named is None:
            wanted += len(truth)
            continue
        else:
            named = set(item.named)
        any_named = True
        true += len(named & truth)
        called += len(named)
        wanted += len(truth)
    if not any_named:
        return None, None
    return (true / called if called else 0.0), (true / wanted if wanted else 0.0)


def _verdicts(item: Judged) -> tuple[str, frozenset[tuple[str, str]]]:
    return item.got, frozenset((one.object, one.got) for one in item.objects)


__all__ = ["Posture", "posture"]
