"""What of Kubernetes a world has: the page of the documentation, made from the code itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from firedrill.world.kube.api import strategy
from firedrill.world.kube.controllers import base
from firedrill.world.kube.kinds import Kind, default_kinds
from firedrill.world.sim.tables import table

_HEAD = """# What a world has of Kubernetes

This page is made from the code by `scripts/coverage`; a test holds it to it.

The API of a world is the one of Kubernetes 1.31: every request is authenticated, authorised, admitted,
decoded, defaulted, validated, stored and audited; watches, selectors, paging, server-side apply, strategic
merge patches, dry runs and field validation work for every resource. *Simulated* says what acts on it
besides. *Stored* means that nothing does.
"""


@cache
def words() -> Mapping[str, Any]:
    """What is said of each resource, and what is refused."""
    return table("firedrill.world.kube", "coverage.yaml")  # type: ignore[no-any-return]


def loops(kind: Kind) -> list[str]:
    """The names of the control loops that look at a kind."""
    import firedrill.world.kube.kubelet
    import firedrill.world.kube.scheduler  # noqa: F401 - their loops register

    return [item.name for item in base.controllers() if kind.resource in item.watches]


def page() -> str:
    """The page, in Markdown."""
    out = [_HEAD]
    groups: dict[str, list[Kind]] = {}
    for kind in default_kinds().all():
        groups.setdefault(kind.api_version, []).append(kind)
    for version, kinds in groups.items():
        out.append(
            f"\n## {version}\n\n| resource | verbs | subresources | what acts on it |\n|---|---|---|---|\n"
        )
        out.extend(_row(kind) for kind in sorted(kinds, key=lambda kind: kind.plural))
    out.append("\n## Refused or left out\n\n")
    out.extend(f"- {line}\n" for line in words()["refused"])
    return "".join(out)


def _row(kind: Kind) -> str:
    told = words()["simulated"].get(kind.resource, "")
    answered = strategy.subresource_handler(kind.resource, "") is not None
    acts = told or ("answered at once" if answered else "stored")
    subs = ", ".join(kind.subresources) or "-"
    return f"| {kind.plural} | {', '.join(kind.verbs)} | {subs} | {acts} |\n"
