"""LimitRanger: defaults and bounds for what containers, pods and claims ask for.

Source: the messages and the order of checks of `plugin/pkg/admission/limitranger`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.objects import Obj, annotations_of, dig
from firedrill.world.kube.quantity import canonical, milli, parse

_ANNOTATION = "kubernetes.io/limit-ranger"
Amounts = Mapping[str, Any]


class LimitRanger(Base):
    """Fills in requests and limits, and holds them against the ranges of the namespace."""

    name = "LimitRanger"

    def admit(self, a: Attributes) -> Obj | None:
        """Give the containers of a new pod the defaults of the namespace."""
        if not a.creates("pods") or a.obj is None:
            return None
        changed = a.obj
        for limits in a.store.list("limitranges", a.namespace):
            for item in dig(limits, "spec", "limits", default=()):
                if item.get("type") == "Container":
                    changed = _with_defaults(changed, item)
        self._check(a, changed, generated=True)
        return changed if changed is not a.obj else None

    def validate(self, a: Attributes) -> tuple[str, ...]:
        """Refuse what is out of bounds."""
        claims = "persistentvolumeclaims"
        if a.obj is not None and (a.creates("pods", claims) or (a.resource == claims and not a.subresource)):
            self._check(a, a.obj, generated=False)
        return ()

    def _check(self, a: Attributes, obj: Obj, *, generated: bool) -> None:
        for limits in a.store.list("limitranges", a.namespace):
            wrong = [
                text
                for item in dig(limits, "spec", "limits", default=())
                for text in (_pod(item, obj) if a.resource == "pods" else _claim(item, obj))
            ]
            if wrong:
                detail = wrong[0] if len(wrong) == 1 else "[" + ", ".join(wrong) + "]"
                raise a.forbidden(detail, generated=generated)


def _defaults(item: Mapping[str, Any]) -> tuple[Amounts, Amounts]:
    """Requests and limits that an entry gives, with the defaults among its own fields."""
    limits = {**(item.get("max") or {}), **(item.get("default") or {})}
    requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
    return requests, limits


def _with_defaults(pod: Obj, item: Mapping[str, Any]) -> Obj:
    requests, limits = _defaults(item)
    spec, said = dict(pod.get("spec") or {}), []
    for key, title in (("containers", "container"), ("initContainers", "init container")):
        containers = []
        for container in spec.get(key) or ():
            given = container.get("resources") or {}
            filled = dict(given)
            for part, amounts, word in (("limits", limits, "limit"), ("requests", requests, "request")):
                missing = {
                    name: amounts[name] for name in sorted(amounts) if name not in (given.get(part) or {})
                }
                if missing:
                    filled[part] = {**(given.get(part) or {}), **missing}
                    said.append((word, f"{', '.join(missing)} {word} for {title} {container.get('name')}"))
            containers.append({**container, "resources": filled} if filled != given else container)
        if containers:
            spec[key] = containers
    if not said:
        return pod
    texts = [text for word, text in said if word == "request"] + [
        text for word, text in said if word == "limit"
    ]
    notes = {**annotations_of(pod), _ANNOTATION: "LimitRanger plugin set: " + "; ".join(texts)}
    return {**pod, "spec": spec, "metadata": {**pod["metadata"], "annotations": notes}}


def _pod(item: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    kind, spec = item.get("type"), pod.get("spec") or {}
    if kind == "Container":
        for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
            given = container.get("resources") or {}
            yield from _bounds(item, "Container", given.get("requests") or {}, given.get("limits") or {})
    elif kind == "Pod":
        yield from _bounds(item, "Pod", pod_total(spec, "requests"), pod_total(spec, "limits"))


def pod_total(spec: Mapping[str, Any], part: str) -> dict[str, int]:
    """What a whole pod asks for (`requests`) or may use (`limits`), in thousandths, by resource.

    The larger of the sum over ordinary and sidecar containers and of what each init container needs
    beside the sidecars that run by then; with the overhead of the runtime class.
    """
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        _add(total, _amounts(container, part))
    sidecars: dict[str, int] = {}
    most: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        here = _amounts(container, part)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, here)
            _add(total, here)
            here = dict(sidecars)
        else:
            here = {name: here.get(name, 0) + sidecars.get(name, 0) for name in {*here, *sidecars}}
        for name, amount in here.items():
            most[name] = max(most.get(name, 0), amount)
    for name in sorted(most):
        total[name] = max(total.get(name, 0), most[name])
    for name, amount in (spec.get("overhead") or {}).items():
        if part == "requests" or name in total:
            total[name] = total.get(name, 0) + milli(amount)
    return total


def _amounts(container: Mapping[str, Any], part: str) -> dict[str, int]:
    return {name: milli(text) for name, text in (dig(container, "resources", part, default={})).items()}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _claim(item: Mapping[str, Any], claim: Mapping[str, Any]) -> Iterator[str]:
    if item.get("type") != "PersistentVolumeClaim":
        return
    requests = dig(claim, "spec", "resources", "requests", default={})
    for name, least in sorted((item.get("min") or {}).items()):
        yield from _minimum("PersistentVolumeClaim", name, least, requests, {})
    for name, most in sorted((item.get("max") or {}).items()):
        head = f"maximum {name} usage per PersistentVolumeClaim is {canonical(most)}"
        if name not in requests:
            yield f"{head}.  No request is specified"
        elif parse(requests[name]) > parse(most):
            yield f"{head}, but request is {canonical(requests[name])}"


def _bounds(item: Mapping[str, Any], kind: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, least in sorted((item.get("min") or {}).items()):
        yield from _minimum(kind, name, least, requests, limits)
    for name, most in sorted((item.get("max") or {}).items()):
        head = f"maximum {name} usage per {kind} is {canonical(most)}"
        show = _shown(kind, name)
        if name not in limits:
            yield f"{head}.  No limit is specified"
        elif _thousandths(kind, limits[name]) > milli(most):
            yield f"{head}, but limit is {show(limits[name])}"
        elif name in requests and _thousandths(kind, requests[name]) > milli(most):
            yield f"{head}, but request is {show(requests[name])}"
    for name, ratio in sorted((item.get("maxLimitRequestRatio") or {}).items()):
        head = f"{name} max limit to request ratio per {kind} is {canonical(ratio)}"
        if not _thousandths(kind, requests.get(name, 0)):
            yield f"{head}, but no request is specified or request is 0"
        elif not _thousandths(kind, limits.get(name, 0)):
            yield f"{head}, but no limit is specified or limit is 0"
        else:
            found = _thousandths(kind, limits[name]) / _thousandths(kind, requests[name])
            if found * 1000 > milli(ratio):
                yield f"{head}, but provided ratio is {found:f}"


def _minimum(kind: str, name: str, least: Any, requests: Amounts, limits: Amounts) -> Iterator[str]:
    head = f"minimum {name} usage per {kind} is {canonical(least)}"
    show = _shown(kind, name)
    if name not in requests:
        yield f"{head}.  No request is specified"
    elif _thousandths(kind, requests[name]) < milli(least):
        yield f"{head}, but request is {show(requests[name])}"
    elif name in limits and _thousandths(kind, limits[name]) < milli(least):
        yield f"{head}, but limit is {show(limits[name])}"


def _thousandths(kind: str, amount: Any) -> int:
    """Totals of pods are counted in thousandths already."""
    return int(amount) if kind == "Pod" else milli(amount)


def _shown(kind: str, name: str) -> Callable[[Any], str]:
    from firedrill.world.kube.admission.quota_usage import show

    return (lambda amount: show(name, amount)) if kind == "Pod" else canonical
