"""Variants that most requirements on pods have in common, so that a scenario need not write them out.

`usual: {bad: {pod: …, container: …}, good: {pod: …, container: …}, traps: [init, 2nd, …]}` stands for one
variant per trap, in which a workload `${third}` is bad in that way, or good in that way. The scenario draws
`ns`, `other` and `third`; `good` is what each other container and pod needs in order to be compliant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from firedrill.core.errors import InputError
from firedrill.suites.compliance.making import merged

Form = dict[str, Any]
_NAME, _NS, _OTHER = "${third}", "${ns}", "${other}"


class Usual:
    """What is bad, and what is good."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        bad, good = told.get("bad") or {}, told.get("good") or {}
        self.bad_pod, self.bad = bad.get("pod") or {}, bad.get("container") or {}
        self.good_pod, self.good = good.get("pod") or {}, good.get("container") or {}
        self.words = str(told.get("word", "forbidden"))

    def one(self, kind: str, *, bad: bool, namespace: str = _NS, name: str = _NAME, **more: Any) -> Form:
        """A workload of one container, bad or good; `more` replaces members."""
        pod = merged(self.good_pod, self.bad_pod) if bad else self.good_pod
        made: Form = {"make": kind, "name": name, "namespace": namespace}
        made["containers"] = [merged(self.good, self.bad) if bad else self.good]
        if pod:
            made["pod"] = pod
        return {**made, **more}

    @property
    def both(self) -> Form:
        """A bad container."""
        return merged(self.good, self.bad)


def _bad(title: str, kind: str, obj: Form, *others: Form) -> Form:
    entity = f"{obj['namespace']}/{kind}/{_NAME}"
    return {
        "compliant": False,
        "title": title,
        "patch": {"add": [*others, obj]},
        "expect": {entity: "fail"},
    }


def _good(title: str, *objects: Form) -> Form:
    return {"compliant": True, "title": title, "patch": {"add": list(objects)}}


def _lists(usual: Usual) -> Form:
    more: Form = {"initContainers": [usual.good], "ephemeralContainers": [usual.good]}
    return usual.one("Pod", bad=False, containers=[usual.good, usual.good], **more)


def _words(usual: Usual) -> Form:
    word = usual.words
    env = [{"name": word, "value": "true"}]
    more: Form = {"labels": {word: "true"}, "annotations": {"note": f"{word}: true was taken away"}}
    named = usual.one("Deployment", bad=False, namespace=_OTHER, **more)
    named["containers"] = [merged(usual.good, {"env": env})]
    notes = {"make": "ConfigMap", "name": _NAME, "namespace": _OTHER, "data": {word: "true"}}
    return _good("the words stand in labels, annotations, variables and a ConfigMap", named, notes)


def _many(usual: Usual) -> Form:
    plain = usual.one("Deployment", bad=False, namespace=_OTHER, name=f"{_NAME}-${{n}}")
    bad = usual.one("Deployment", bad=True, namespace=_OTHER)
    return _bad("one among fifty", "Deployment", bad, {"repeat": 50, "object": plain})


_SYSTEM = {"make": "Namespace", "name": "kube-system"}
TRAPS: Mapping[str, Callable[[Usual], Form]] = {
    "pod": lambda u: _bad("a bare pod", "Pod", u.one("Pod", bad=True)),
    "tmpl": lambda u: _bad("the template of a CronJob", "CronJob", u.one("CronJob", bad=True)),
    "tmpl-job": lambda u: _bad("the template of a Job", "Job", u.one("Job", bad=True, namespace=_OTHER)),
    "tmpl-daemon": lambda u: _bad("the template of a DaemonSet", "DaemonSet", u.one("DaemonSet", bad=True)),
    "init": lambda u: _bad(
        "a container that runs before",
        "Deployment",
        u.one("Deployment", bad=False, initContainers=[u.both]),
    ),
    "eph": lambda u: _bad(
        "a container for debugging", "Pod", u.one("Pod", bad=False, ephemeralContainers=[u.both])
    ),
    "2nd": lambda u: _bad(
        "the second container", "StatefulSet", u.one("StatefulSet", bad=False, containers=[u.good, u.both])
    ),
    "ns": lambda u: _bad("another namespace", "Deployment", u.one("Deployment", bad=True, namespace=_OTHER)),
    "system": lambda u: _bad(
        "a namespace of the system, which the text does not exempt",
        "DaemonSet",
        u.one("DaemonSet", bad=True, namespace="kube-system"),
        _SYSTEM,
    ),
    "many": _many,
    "zero": lambda u: _bad(
        "a Deployment of no replicas", "Deployment", u.one("Deployment", bad=True, spec={"replicas": 0})
    ),
    "list": lambda u: _good("several containers of all kinds, all fine", _lists(u)),
    "kinds": lambda u: _good(
        "fine workloads of every kind",
        u.one("Pod", bad=False),
        *(u.one(kind, bad=False, namespace=_OTHER) for kind in ("CronJob", "Job", "DaemonSet")),
    ),
    "words": _words,
    "none": lambda _: {
        "compliant": True,
        "title": "there is nothing that makes pods",
        "patch": {"remove": ["${ns}/Deployment/${web}", "${ns}/StatefulSet/${side}"]},
    },
}
"""By the word that names them. `tmpl-job`, `tmpl-daemon` and `system` are called `tmpl` and `ns`."""
_CALLED = {"tmpl-job": "tmpl", "tmpl-daemon": "tmpl", "system": "ns", "kinds": "false"}


def spelled(document: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The document of a scenario with its usual variants written out before its own.

    Raises:
        InputError: a trap has no usual variant.
    """
    rest = {key: value for key, value in document.items() if key != "usual"}
    told = document.get("usual")
    if not isinstance(told, Mapping):
        return rest
    usual = Usual(told)
    made = []
    for trap in told.get("traps") or ():
        if trap not in TRAPS:
            mend = f"there are {', '.join(TRAPS)}"
            raise InputError(f"no usual trap {trap!r}", source=source, field="usual.traps", mend=mend)
        made.append({"trap": _CALLED.get(trap, trap), **TRAPS[trap](usual)})
    return {**rest, "variants": [*made, *(document.get("variants") or ())]}


__all__ = ["TRAPS", "spelled"]
