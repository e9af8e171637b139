"""What admission of a policy would say: its schema, then Kyverno's own rules about policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from firedrill.core.errors import InputError
from firedrill.world.kube.schema.check.fields import Errors
from firedrill.world.kube.schema.custom import check_against
from firedrill.world.kube.schema.decode import MAX_DEPTH, DecodeError
from firedrill.world.kube.schema.definitions import Schema
from firedrill.world.kube.schema.structural import prune
from firedrill.world.policy.kyverno.reading import load
from firedrill.world.policy.kyverno.rulings import Kinds, rulings
from firedrill.world.policy.kyverno.schemas import schema, versions

_LARGEST = 1_000_000


def problems(document: Mapping[str, Any], kinds: Kinds | None = None) -> list[str]:
    """What is wrong with a policy, as its writer is told; empty where it is admitted.

    Args:
        document: the policy, as its writer hands it in.
        kinds: says whether the API serves a kind (`group`, `version`, `kind`); all are believed without it.
    """
    try:
        group = str(document.get("apiVersion") or "").rpartition("/")[0]
        known = bool(versions(group, str(document.get("kind") or "")))
        found = list(schema_problems(document)) if known else []
        if found:
            return found
        return list(rulings(load(document), kinds))
    except InputError as problem:
        return [str(problem)]
    except RecursionError:
        return ["the policy is nested too deeply"]


def schema_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Unknown and ill-typed fields, as the API server words them."""
    group, _, version = str(document.get("apiVersion") or "").rpartition("/")
    kind = str(document.get("kind") or "")
    raw = schema(group, kind, version)
    if raw is None:
        known = ", ".join(versions(group, kind))
        yield f'no matches for kind "{kind}" in version "{group}/{version}" (served: {known})'
        return
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.get("name"):
        yield "metadata.name: Required value: name or generateName is required"
    node = Schema(None, raw)
    try:
        _, unknown = prune(node, dict(document), MAX_DEPTH)
    except (DecodeError, RecursionError):
        yield "exceeded max depth"
        return
    if unknown:
        told = ", ".join(f'unknown field "{path}"' for path in sorted(unknown))
        head = f'{kind} in version "{version}" cannot be handled as a {kind}'
        yield f"{head}: strict decoding error: {told}"
    errors = Errors()
    check_against(errors, node, dict(document))
    yield from (f"{item.field}: {item.message}" for item in errors.found)
