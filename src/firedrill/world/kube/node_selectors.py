"""Node selector terms, tolerations: the rules by which objects say which nodes suit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firedrill.world.kube import selectors
from firedrill.world.kube.objects import labels_of, name_of


def tolerates(tolerations: Sequence[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    """Whether one of the tolerations covers the taint (ToleratesTaint of the core API)."""
    for item in tolerations:
        if item.get("effect") and item["effect"] != taint.get("effect"):
            continue
        if item.get("key") and item["key"] != taint.get("key"):
            continue
        operator = item.get("operator") or "Equal"
        if operator == "Exists":
            return True
        if (
            operator == "Equal"
            and (item.get("value") or "") == (taint.get("value") or "")
            and item.get("key")
        ):
            return True
    return False


def node_term_matches(term: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """Whether a node meets one node selector term; an empty term matches no node."""
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels = labels_of(node)
    if not all(selectors.matches((selectors.expression(item),), labels) for item in expressions):
        return False
    names = {"metadata.name": name_of(node)}
    return all(selectors.matches((selectors.expression(item),), names) for item in fields)


def node_selector_matches(required: Mapping[str, Any] | None, node: Mapping[str, Any]) -> bool:
    """Whether a node meets a `NodeSelector`; where there is none, every node does."""
    if required is None:
        return True
    return any(node_term_matches(term, node) for term in required.get("nodeSelectorTerms") or ())
