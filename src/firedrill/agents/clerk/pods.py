"""What a requirement demands of pods: fields that Kubernetes has, found in words and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable

from firedrill.agents.clerk.model import Condition, Demand, Scope, Value
from firedrill.agents.clerk.words import Words, literal, spans

_POD = {
    name: (name,)
    for name in (
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "hostUsers",
        "shareProcessNamespace",
        "automountServiceAccountToken",
        "serviceAccountName",
        "priorityClassName",
        "runtimeClassName",
        "dnsPolicy",
    )
}
_SECURITY = {
    name: ("securityContext", name)
    for name in (
        "privileged",
        "allowPrivilegeEscalation",
        "readOnlyRootFilesystem",
        "runAsNonRoot",
        "runAsUser",
        "runAsGroup",
        "procMount",
    )
}
_CONTAINER = {
    **_SECURITY,
    "seccompProfile": ("securityContext", "seccompProfile", "type"),
    "hostProcess": ("securityContext", "windowsOptions", "hostProcess"),
    "imagePullPolicy": ("imagePullPolicy",),
    "livenessProbe": ("livenessProbe",),
    "readinessProbe": ("readinessProbe",),
    "startupProbe": ("startupProbe",),
}
_INHERITED = frozenset({"runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile", "hostProcess"})
_DEFAULTS: dict[str, Value] = {
    "hostUsers": True,
    "automountServiceAccountToken": True,
    "allowPrivilegeEscalation": True,
    "procMount": "Default",
    "imagePullPolicy": "",
}
"""What Kubernetes takes where a field is left out; false for all other switches."""
_PHRASES = (
    (r"shares? the network of (?:its|their|the) node|host'?s? network", "hostNetwork"),
    (r"sees? the processes of the node|process ids of (?:its|the) node|host'?s? process", "hostPID"),
    (r"inter-process communication", "hostIPC"),
    (r"\brun(?:s)? privileged|privileged containers?", "privileged"),
    (r"root file ?system", "readOnlyRootFilesystem"),
    (r"seccomp", "seccompProfile"),
    (r"gain (?:no )?more privileges", "allowPrivilegeEscalation"),
)
_LEFT_OUT = r"(?:left out|absent|missing|unset|not set|not there|not given|not said)"
_CAPABILITY = re.compile(r"^[A-Z][A-Z_]+$")


def demands(words: Words) -> tuple[Demand, ...]:
    """What is demanded of pods; nothing where the words hold no field that is known."""
    found: list[Demand] = []
    alternatives = _alternatives(words)
    if alternatives is not None:
        found.append(alternatives)
    said = {item for sentence in words.demands for item in _fields(sentence)}
    done = set() if alternatives is None else {item.path for item in alternatives.fine}
    for name in sorted(said):
        path = _POD.get(name) or _CONTAINER[name]
        if path not in done:
            condition = _condition(name, words)
            if condition is not None:
                found.append(Demand(_scope(name), (condition,)))
    found += _lists(words)
    return tuple(found)


def _scope(name: str) -> Scope:
    return "pod" if name in _POD else "container"


def _fields(sentence: str) -> Iterable[str]:
    """The fields that a sentence is about; those in parentheses after another subject are too."""
    named = set()
    for span in spans(sentence):
        last = re.split(r"[.:\s]", span.split(":")[0].strip())[-1]
        if last in _POD or last in _CONTAINER:
            named.add(last)
    if not named:
        named.update(field for pattern, field in _PHRASES if re.search(pattern, sentence, re.IGNORECASE))
    return named


def _condition(name: str, words: Words) -> Condition | None:
    """What a field has to be: the first pattern of words that fits."""
    path = _POD.get(name) or _CONTAINER[name]
    inherited = name in _INHERITED
    text = " ".join(words.demands)
    span = rf"`(?:[A-Za-z]+\.)*{name}`"
    direct = re.search(rf"`(?:[A-Za-z]+\.)*{name}: ?([A-Za-z0-9]+)`", text)
    if direct:
        return Condition(path, "in", (literal(direct[1]),), inherited=inherited)
    around = re.search(rf"{span}[^.;]*?(?:is|be|are|has to be) (?:either )?([^.;]*)", text)
    if name == "seccompProfile":
        return Condition(path, "in", _types(text), absent=False, inherited=True)
    if name.endswith("Probe"):
        return Condition(path, "set")
    if around is None:
        return _by_phrase(name, path, inherited=inherited)
    said = around[1]
    absent = re.search(_LEFT_OUT, said) is not None and not re.search(rf"not {_LEFT_OUT}", said)
    above = re.search(r"(above|more than|at least) (\d+)", said)
    if above:
        bound = int(above[2]) - (1 if above[1] == "at least" else 0)
        return Condition(path, "above", (bound,), absent, inherited)
    values = tuple(literal(item) for item in re.findall(r"\b(true|false|\d+)\b", said))
    values = values or tuple(literal(item) for item in spans(said) if item not in (name, *_POD))
    if not values:
        return _by_phrase(name, path, inherited=inherited)
    if re.search(r"\b(?:never|not)\b", said) and not absent:
        values = tuple(not item for item in values if isinstance(item, bool))
    return Condition(path, "in", values, absent, inherited) if values else None


def _by_phrase(name: str, path: tuple[str, ...], *, inherited: bool) -> Condition:
    """Where no value is said: what is safe, which Kubernetes takes by itself or has to be written."""
    safe: Value = name in ("readOnlyRootFilesystem", "runAsNonRoot")
    unsafe = bool(_DEFAULTS.get(name, False))
    return Condition(path, "in", (safe,), absent=not safe and not unsafe, inherited=inherited)


def _types(text: str) -> tuple[Value, ...]:
    known = [item for item in ("RuntimeDefault", "Localhost", "Unconfined") if f"`{item}`" in text]
    return tuple(item for item in known if item != "Unconfined") or ("RuntimeDefault", "Localhost")


def _alternatives(words: Words) -> Demand | None:
    """`A container is fine if A, or if B … Never fine: C`."""
    found = re.search(r"\b(?:is|are) fine if (.+?)\. ", words.text)
    never = re.search(r"[Nn]ever fine: (.+?)\. ", words.text)
    if found is None:
        if "as root" not in words.lower or "runasuser" not in words.lower:
            return None
        said = "`runAsNonRoot` is true, or `runAsUser` is above 0"
    else:
        said = found[1]
    fine = tuple(item for part in re.split(r",? or (?:if )?", said) if (item := _single(part)))
    refused = () if never is None else tuple(item for part in never[1].split(",") if (item := _single(part)))
    if not fine:
        return None
    # what wins over it is what Kubernetes looks at first: a user that is said makes the switch pointless
    if {item.path[-1] for item in fine} >= {"runAsUser", "runAsNonRoot"}:
        refused = (Condition(("securityContext", "runAsUser"), "in", (0,), inherited=True),)
    return Demand("container", fine, refused)


def _single(part: str) -> Condition | None:
    names = [item.split(".")[-1] for item in spans(part) if item.split(".")[-1] in _CONTAINER]
    if not names:
        return None
    name = names[0]
    path, inherited = _CONTAINER[name], name in _INHERITED
    above = re.search(r"(?:above|more than) (\d+)", part)
    if above:
        return Condition(path, "above", (int(above[1]),), inherited=inherited)
    value = re.search(r"\b(true|false|\d+)\b", part)
    return Condition(path, "in", (literal(value[1]),), inherited=inherited) if value else None


def _lists(words: Words) -> list[Demand]:
    """Ports, volumes and capabilities, which a pod has lists of."""
    text = " ".join(words.demands)
    found: list[Demand] = []
    if "hostPort" in spans(text) or re.search(r"port of (?:the|its) node", text):
        found.append(Demand("port", (Condition(("hostPort",), "in", (0,), absent=True),)))
    for kind in ("hostPath", "nfs", "emptyDir", "projected", "configMap", "secret"):
        if re.search(rf"(?:\bno\b|not) [^.]*?volumes?[^.]*`{kind}`", text, re.IGNORECASE):
            found.append(Demand("volume", (Condition((kind,), "none-in", absent=True),)))
    return found + _capabilities(words, text)


def _capabilities(words: Words, text: str) -> list[Demand]:
    if "capabilit" not in words.lower:
        return []
    found: list[Demand] = []
    add, drop = ("securityContext", "capabilities", "add"), ("securityContext", "capabilities", "drop")
    for sentence in _clauses(words):
        named = tuple(item for item in re.findall(r"`([A-Z_]+)`|\b([A-Z]{3,}(?:_[A-Z]+)+)\b", sentence))
        names = tuple(item for pair in named for item in pair if item and _CAPABILITY.match(item))
        dropping = re.search(r"\bdrop(?:s|ped|ping)?\b|capabilities\.drop", sentence)
        adding = re.search(r"\badd(?:s|ed|ing)?\b|capabilities\.add", sentence)
        if dropping and names:
            either = re.search(r"\bor\b", sentence[dropping.start() :]) is not None and len(names) > 1
            wanted = tuple(Condition(drop, "has", (item,)) for item in names) if either else ()
            found.append(Demand("container", wanted or (Condition(drop, "has", names),)))
        elif adding:
            found.append(Demand("container", (_added(add, sentence, names),)))
    if not found and re.search(r"\badd", text):
        found.append(Demand("container", (Condition(add, "all-in", (), absent=True),)))
    return list(dict.fromkeys(found))


def _clauses(words: Words) -> Iterable[str]:
    """Sentences; one that speaks of both dropping and adding falls apart where the other begins."""
    for sentence in words.demands:
        if re.search(r"\bdrop", sentence) and re.search(r"\badd", sentence):
            yield from re.split(r"(?:;|,? (?:and|but|nor))\s+(?=[a-z]+ )", sentence)
        else:
            yield sentence


def _added(path: tuple[str, ...], sentence: str, names: tuple[str, ...]) -> Condition:
    only = re.search(r"\b(?:only|but|except|other than|apart from|nothing beyond|beside|at most)\b", sentence)
    if not names or only:
        return Condition(path, "all-in", names, absent=True)
    return Condition(path, "none-in", tuple(dict.fromkeys((*names, "ALL"))), absent=True)


__all__ = ["demands"]
