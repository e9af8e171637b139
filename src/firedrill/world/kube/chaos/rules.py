"""Specs of experiments as rows of effects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.chaos.amounts import duration_ms, rate, thousandths
from firedrill.world.kube.effects import Detail, Effect, Parameter
from firedrill.world.kube.objects import Obj, name_of, namespace_of

_OUTSIDE = frozenset({"outside"})
_ERRORS = {
    1: "EPERM",
    2: "ENOENT",
    4: "EINTR",
    5: "EIO",
    12: "ENOMEM",
    13: "EACCES",
    28: "ENOSPC",
    30: "EROFS",
}
_READABLE = 0o444
_LONGEST = 512
_PAUSES = 350
"""ms of every second in which a Java machine that has to collect garbage all the time does nothing else."""
_RULE = re.compile(
    r"CLASS\s+\^?(?P<class>[\w.$*]+)|METHOD\s+(?P<method>[\w<>$]+)"
    r"|DO\s+(?P<do>[^\n]*(?:\n(?!\s*ENDRULE)[^\n]*){0,20})"
)


def _source(obj: Obj) -> str:
    return f"{namespace_of(obj)}/{obj['kind']}/{name_of(obj)}"


def network(obj: Obj, record: Obj, uid: str, targets: Mapping[str, frozenset[str]]) -> list[Effect]:
    """What happens to the packets that a pod sends: to the other side, or to anybody where there is none."""
    spec = obj["spec"]
    direction = spec.get("direction") or "to"
    other = ".Target" if record["selectorKey"] == "." else "."
    if direction not in (("to", "both") if record["selectorKey"] == "." else ("from", "both")):
        return []
    peers = targets.get(other, frozenset())
    if not spec.get("target") and spec.get("externalTargets"):
        peers = _OUTSIDE
    return [
        Effect(f"pod/{uid}", parameter, value, _source(obj), peers, detail=(("side", "out"), *detail))
        for parameter, value, detail in _packets(spec)
        if value
    ]


def _packets(spec: Mapping[str, Any]) -> list[tuple[Parameter, int, Detail]]:
    action = spec.get("action")
    if action == "partition":
        return [("loss", 1000, ())]
    parts = ("delay", "loss", "corrupt") if action == "netem" else (action,)
    out: list[tuple[Parameter, int, Detail]] = []
    for part in parts:
        given = spec.get(str(part)) or {}
        if part == "delay":
            out.append(("delay_ms", max(duration_ms(given.get("latency")) or 0, 0), ()))
            out.append(("jitter_ms", max(duration_ms(given.get("jitter")) or 0, 0), ()))
        elif part in ("loss", "corrupt"):  # what is corrupt fails its checksum, and is thrown away
            out.append(("loss", thousandths(given.get(part)), ()))
        elif part == "bandwidth":
            out.append(("rate", rate(given.get("rate")), (("limit", str(int(given.get("limit") or 0))),)))
    if action == "netem" and spec.get("rate"):
        out.append(("rate", rate(spec["rate"].get("rate")), ()))
    return out


def http(obj: Obj, uid: str) -> list[Effect]:
    """What the proxy before a pod does to its requests, or to its answers."""
    spec = obj["spec"]
    target = str(spec.get("target") or "Request")
    detail: Detail = (
        ("target", target),
        ("port", str(int(spec.get("port") or 0))),
        ("path", str(spec.get("path") or "*")[:_LONGEST]),
        ("method", str(spec.get("method") or "")[:32]),
    )
    if target == "Response" and int(spec.get("code") or 200) != 200:
        return []  # it waits for answers of another kind
    replaced, patched = spec.get("replace") or {}, spec.get("patch") or {}
    found: list[tuple[Parameter, int]] = []
    if spec.get("abort"):
        found.append(("http_abort", 1))
    if spec.get("delay"):
        found.append(("http_delay_ms", max(duration_ms(spec["delay"]) or 0, 0)))
    if target == "Response" and replaced.get("code"):
        found.append(("http_code", int(replaced["code"])))
    if replaced.keys() & {"body", "path", "method"} or patched.get("body"):
        found.append(("http_tamper", 1))
    return [
        Effect(f"pod/{uid}", parameter, value, _source(obj), detail=detail)
        for parameter, value in found
        if value
    ]


def jvm(obj: Obj, uid: str) -> list[Effect]:
    """What an agent in a Java machine does to a method."""
    spec = obj["spec"]
    action = spec.get("action")
    where = (("class", str(spec.get("class") or "")[:256]), ("method", str(spec.get("method") or "")[:128]))
    on, source = f"pod/{uid}", _source(obj)
    if action == "exception":
        return [
            Effect(
                on, "jvm_error", 1000, source, detail=(*where, *_exception(str(spec.get("exception") or "")))
            )
        ]
    if action == "return":
        return [Effect(on, "jvm_error", 1000, source, detail=(*where, *_NO_VALUE))]
    if action == "latency":
        return [Effect(on, "jvm_delay_ms", max(int(spec.get("latency") or 0), 0), source, detail=where)]
    if action == "gc":
        return [Effect(on, "gc_pause_ms", _PAUSES, source)]
    return _rule(str(spec.get("ruleData") or "")[:8192], on, source) if action == "ruleData" else []


_NO_VALUE: Detail = (("exception", "java.lang.NullPointerException"), ("message", ""))


def _exception(text: str) -> Detail:
    """(class, message) of what a text such as `java.io.IOException("BOOM")` makes."""
    found = re.match(r"\s*(?:throw\s+)?(?:new\s+)?([\w.$]{1,200})\s*(?:\(\s*\"([^\"]{0,300})\"?.*)?", text)
    if not found:
        return (("exception", "java.lang.RuntimeException"), ("message", ""))
    return (("exception", found[1]), ("message", found[2] or ""))


def _rule(text: str, on: str, source: str) -> list[Effect]:
    """A rule in Byteman's language: what it does where, as far as a rule can be felt."""
    text = text.replace("\\n", "\n")
    said = {key: value for match in _RULE.finditer(text) for key, value in match.groupdict().items() if value}
    where = (("class", said.get("class", "")), ("method", said.get("method", "")))
    do = said.get("do", "")
    if "throw" in do:
        return [Effect(on, "jvm_error", 1000, source, detail=(*where, *_exception(do[do.index("throw") :])))]
    if re.search(r"\breturn\b", do):
        return [Effect(on, "jvm_error", 1000, source, detail=(*where, *_NO_VALUE))]
    slept = re.search(r"(?:delay|sleep)\s*\(\s*(\d{1,9})", do)
    if slept:
        return [Effect(on, "jvm_delay_ms", int(slept[1]), source, detail=where)]
    return [Effect(on, "gc_pause_ms", _PAUSES, source)] if "gc(" in do else []


def full_heap(obj: Obj, uid: str) -> list[Effect]:
    """A heap in which hardly anything is free: collections without end, and requests that find no room."""
    on, source = f"pod/{uid}", _source(obj)
    told: Detail = (("exception", "java.lang.OutOfMemoryError"), ("message", "Java heap space"))
    return [
        Effect(on, "gc_pause_ms", 600, source),
        Effect(on, "jvm_error", 1000, source, share=300, detail=(("class", ""), ("method", ""), *told)),
    ]


def disk(obj: Obj, uid: str) -> list[Effect]:
    """What happens to operations on the files of a volume."""
    spec = obj["spec"]
    percent = spec.get("percent")
    share = thousandths(100 if percent is None else percent)
    on, source, action = f"pod/{uid}", _source(obj), spec.get("action")
    if not share:
        return []
    if action == "latency":
        return [Effect(on, "io_delay_ms", max(duration_ms(spec.get("delay")) or 0, 0), source, share=share)]
    if action == "fault":
        said = _ERRORS.get(int(spec.get("errno") or 0), "EIO")
        return [Effect(on, "io_error", 1000, source, share=share, detail=(("error", said),))]
    if action == "mistake":
        return [Effect(on, "io_error", 1000, source, share=share, detail=(("error", "EBADMSG"),))]
    attributes = spec.get("attr") or {}
    perm = attributes.get("perm")
    if (perm is not None and not int(perm) & _READABLE) or attributes.get("size") == 0:
        return [Effect(on, "io_error", 1000, source, share=share, detail=(("error", "EACCES"),))]
    return []


def names(obj: Obj, uid: str) -> list[Effect]:
    """What happens to a pod's questions for names."""
    spec = obj["spec"]
    patterns = ",".join(str(item) for item in spec.get("patterns") or ("*",))[:4096]
    parameter: Parameter = "dns_random" if spec.get("action") == "random" else "dns_error"
    return [Effect(f"pod/{uid}", parameter, 1, _source(obj), detail=(("patterns", patterns),))]


def clock(obj: Obj, uid: str) -> list[Effect]:
    """How far a clock is ahead."""
    spec = obj["spec"]
    if spec.get("clockIds") and "CLOCK_REALTIME" not in spec["clockIds"]:
        return []
    skew = duration_ms(spec.get("timeOffset")) or 0
    return [Effect(f"pod/{uid}", "clock_skew_ms", skew, _source(obj))] if skew else []
