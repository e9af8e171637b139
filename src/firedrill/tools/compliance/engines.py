"""What our engines say of policies, in words. Everything here blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firedrill.world.policy.kyverno import Policy

PACKAGE = "check"
_MOST_PRINTS = 20
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What a policy in Rego makes of one input.

    Attributes:
        words: the verdict as it will be read, or why there is none.
        violations: what it names, where it has such a set.
        values: of the rules that are defined.
        undefined: the rules that are not.
        prints: what it printed.
    """

    words: str
    violations: Any = None
    values: Mapping[str, Any] = field(default_factory=dict)
    undefined: tuple[str, ...] = ()
    prints: tuple[str, ...] = ()


def decide(text: str, inputs: Sequence[Any]) -> list[Decision]:
    """Evaluate a policy on each input."""
    from firedrill.world.policy.rego import Module, Rego

    modules, rego = [Module("policy.rego", text)], Rego()
    checked = rego.check(modules)
    if checked.errors:
        return [Decision(f"no verdict: {checked.errors[0].text()}")] * len(inputs)
    rules = sorted({name.removeprefix(f"{PACKAGE}.") for name in checked.rules})
    results = rego.evaluate_many(modules, f"data.{PACKAGE}.result", inputs)
    wholes = rego.evaluate_many(modules, f"data.{PACKAGE}", inputs)
    return [_decision(result, whole, rules) for result, whole in zip(results, wholes, strict=True)]


def _decision(result: Any, whole: Any, rules: Sequence[str]) -> Decision:
    from firedrill.world.policy.rego import RegoError, Value, verdict

    found = verdict(result)
    if found is not None:
        words = "result is true: compliant" if found else "result is false: not compliant"
    elif isinstance(result, RegoError):
        words = f"no verdict: {result.text()}"
    elif isinstance(result, Value):
        words = f"no verdict: result is neither true nor false but {type(result.value).__name__}"
    else:
        words = "no verdict: result is undefined, which counts as wrong (write `default result := false`)"
    values = whole.value if isinstance(whole, Value) and isinstance(whole.value, Mapping) else {}
    undefined = tuple(name for name in rules if name not in values) if isinstance(whole, Value) else ()
    prints = () if isinstance(result, RegoError) else result.prints[:_MOST_PRINTS]
    return Decision(words, values.get("violations"), values, undefined, prints)


def loaded(documents: Sequence[Document]) -> Sequence[Policy]:
    """Policies of Kyverno, read; they have to be such that admission takes them."""
    from firedrill.world.policy import kyverno

    return [kyverno.load(item) for item in documents]


def opinion(policies: Sequence[Policy], item: Document, around: Sequence[Document]) -> list[str]:
    """What each rule says of an object, as a scan in the background does; those about it alone.

    Args:
        policies: as read.
        item: the object.
        around: what there is to look up, namespaces too.
    """
    from firedrill.world.policy import kyverno

    metadata = item["metadata"]
    space = metadata.get("name") if item.get("kind") == "Namespace" else metadata.get("namespace")
    labels = next(
        (
            other["metadata"].get("labels") or {}
            for other in around
            if other.get("kind") == "Namespace" and other["metadata"].get("name") == space
        ),
        {},
    )
    subject = kyverno.Subject(resource=item, operation="", namespace_labels=labels)
    scanned = [policy for policy in policies if policy.background]
    rows = kyverno.evaluate(scanned, subject, around_lookup(around))
    told = [
        f"{row.result} {row.policy}/{row.rule}" + (f" at {row.path}" if row.path else "") + f": {row.message}"
        for row in rows
    ]
    left = [policy.key for policy in policies if not policy.background]
    return [*told, *(f"skip {name}: it is not applied to what is there (background: false)" for name in left)]


def around_lookup(around: Sequence[Document]) -> Any:
    """What policies may look up: the objects that are given, and nothing else."""
    from firedrill.world.policy.kyverno import Nothing

    class Given(Nothing):
        """Knows some objects."""

        def get(self, api_version: str, kind: str, namespace: str, name: str) -> Document | None:
            """One of them."""
            listed = self.list(api_version, kind, namespace)
            return next((item for item in listed if item["metadata"].get("name") == name), None)

        def list(self, api_version: str, kind: str, namespace: str = "") -> Sequence[Document]:
            """Those of a kind."""
            return [
                item
                for item in around
                if item.get("kind") == kind
                and item.get("apiVersion") == api_version
                and namespace in ("", item["metadata"].get("namespace"))
            ]

    return Given()
