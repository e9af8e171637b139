"""Settings in ConfigMaps: switches that stand apart from their peers, and the words of the cluster's DNS."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.fields import writes
from firedrill.agents.oncall.steps import Scene, Step, changed, entity_of, patch
from firedrill.agents.sleuth.case import listing, mapping

_DIRECTIVE = re.compile(r"^\s*([a-z_]+)\b")


def mend(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """A ConfigMap that somebody wrote, with what stands out in it put back."""
    found = scene.get(entity)
    if found is None or found[1]["kind"] != "ConfigMap" or not writes(found[1], scene.before.base):
        return
    obj = found[1]
    touched = {
        path[1][2:]
        for one in writes(obj, scene.before.base)
        for path in one.paths()
        if path[0] == "f:data" and len(path) > 1
    }
    wanted = obj
    for key in sorted(touched):
        text = str(mapping(obj, "data").get(key) or "")
        new = switched_back(text)
        if new is None and key == "Corefile":
            new = readable(text)
        if new is not None and new != text:
            wanted = changed(wanted, "data", key, value=new)
    action = patch(scene, obj, wanted)
    if action is not None:
        keys = ", ".join(sorted(touched))
        yield Step(
            entity, f"{entity}: put back what stands out in {keys}", why, (action,), guessed=True,
            workloads=readers(scene, obj),
        )  # fmt: skip


@cache
def _known() -> frozenset[str]:
    text = resources.files("firedrill.agents.oncall").joinpath("data", "dns_words.txt").read_text("utf-8")
    return frozenset(text.split())


def switched_back(text: str) -> str | None:
    """A file of flags in which those few whose default differs from that of most are set like most."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    flags = mapping(document, "flags")
    defaults = Counter(
        str(flag.get("defaultVariant")) for flag in flags.values() if isinstance(flag, Mapping)
    )
    if len(flags) < 3 or not defaults:
        return None
    usual, count = defaults.most_common(1)[0]
    if count * 2 <= len(flags):
        return None
    for name, flag in flags.items():
        odd = isinstance(flag, Mapping) and str(flag.get("defaultVariant")) != usual
        if odd and usual in mapping(flag, "variants"):
            place = re.compile(
                rf'("{re.escape(name)}"\s*:\s*\{{.*?"defaultVariant"\s*:\s*)"[^"]*"', re.DOTALL
            )
            text = place.sub(lambda match: match[1] + json.dumps(usual), text, count=1)
    return text


def readable(text: str) -> str | None:
    """A server's settings without lines that begin with a word that no such server knows."""
    kept = []
    for line in text.split("\n"):
        word = _DIRECTIVE.match(line)
        if word and word[1] not in _known() and line[:1].isspace():
            continue
        kept.append(line)
    return "\n".join(kept)


def readers(scene: Scene, obj: Mapping[str, Any]) -> tuple[str, ...]:
    """The workloads whose pods read a ConfigMap or a Secret."""
    kind, namespace, name = key_of(obj)
    found = []
    for item in scene.of("Deployment", "StatefulSet", "DaemonSet", namespace=namespace):
        if name in named(mapping(item, "spec", "template", "spec"), kind):
            found.append(entity_of(item))
    return tuple(found)


def named(spec: Mapping[str, Any], kind: str) -> set[str]:
    """The ConfigMaps or Secrets that the pods of a spec read."""
    volume, source, ref = (
        ("configMap", "configMapRef", "configMapKeyRef")
        if kind == "ConfigMap"
        else ("secret", "secretRef", "secretKeyRef")
    )
    out: set[Any] = set()
    for item in listing(spec, "volumes"):
        out.add(mapping(item, volume).get("name") or mapping(item, volume).get("secretName"))
        for part in listing(item, "projected", "sources"):
            out.add(mapping(part, volume).get("name"))
    for box in [*listing(spec, "containers"), *listing(spec, "initContainers")]:
        out |= {mapping(entry, source).get("name") for entry in listing(box, "envFrom")}
        out |= {mapping(entry, "valueFrom", ref).get("name") for entry in listing(box, "env")}
    return {str(name) for name in out if name}
