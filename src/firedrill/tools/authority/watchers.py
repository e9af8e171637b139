"""Who tells of trouble: rules, scraping, collectors, and those who ask on behalf of users."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from firedrill.tools.authority import templates
from firedrill.tools.authority.comparing import labels_changed, pair
from firedrill.tools.authority.shapes import mapping, text
from firedrill.tools.authority.vocabulary import sorts
from firedrill.world.kube.objects import Obj, name_of

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.guarding import Asked


def watching(asked: Asked) -> Iterator[str]:
    """Whether who tells of trouble is concerned."""
    both = pair(asked)
    objects = [*asked.before, *([asked.after] if asked.after is not None else [])]
    if asked.resource in {"configmaps", "secrets"}:
        pattern = re.compile(str(sorts()["watching_files"]))
        texts = (value for obj in objects for value in mapping(obj, "data").values())
        if any(isinstance(value, str) and pattern.search(value[:200_000]) for value in texts):
            yield "monitoring"
    if any(tells_of_trouble(obj) for obj in objects):
        yield "monitoring"
    if asked.subresource == "scale" and asked.store is not None:
        workload = asked.store.get(asked.resource, asked.namespace, asked.name)
        if workload is not None and tells_of_trouble(workload):
            yield "monitoring"
    if both is not None:
        inner = [{"metadata": mapping(obj, "spec", "template", "metadata")} for obj in both]
        prefixes = sorts()["watching_labels"]
        if labels_changed(*both, prefixes) or labels_changed(inner[0], inner[1], prefixes):
            yield from ("monitoring", "blind")


def tells_of_trouble(obj: Obj) -> bool:
    """Whether it is one of those, or the Service of one."""
    names = templates.images(templates.spec_of(obj))
    if obj.get("kind") == "Service":
        names = [text(obj, "spec", "selector", "app.kubernetes.io/name"), name_of(obj)]
    return any(_is_watcher(name) for name in names)


@cache
def _watchers() -> re.Pattern[str]:
    words = "|".join(re.escape(word) for word in sorts()["watchers"])
    return re.compile(rf"(?:^|[/:-])(?:{words})(?:$|[-:@/.\d])")


def _is_watcher(name: str) -> bool:
    return _watchers().search(name) is not None
