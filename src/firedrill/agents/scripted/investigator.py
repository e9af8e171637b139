"""The policy of the demo: an investigator that is a rule, not a model.

It asks the same questions of every recording, through the tools that a model would use, and decides by
adding up what the outputs say. It knows Kubernetes in general and no recording in particular.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

from firedrill.agents.scripted.policy import Call, Say, Turn, finish, mark, shell
from firedrill.agents.scripted.responder import Responder, on_call

NAME = "investigator"
ANSWER = "/home/user/agent_output.json"
_CLOSE = 0.85
_MOST = 3
_HASH = "[bcdfghjklmnpqrstvwxz2456789]"
_POD = re.compile(rf"^(?P<stem>.+?)-(?:{_HASH}{{6,10}}-{_HASH}{{5}}|\d+)$")
_SET = re.compile(rf"^(?P<stem>.+)-{_HASH}{{6,10}}$")
_QUOTA = re.compile(r"exceeded quota: ([\w.-]+)")
_NAMESPACED = ("deployment", "service_name", "service", "pod")


@dataclass
class Suspect:
    """One object and what speaks against it: points and words by kind of evidence."""

    name: str
    points: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        """The sum of all points."""
        return sum(self.points.values())


class Investigator:
    """Looks around, counts what it finds, writes an answer and finishes; on call, see the responder."""

    def reply(self, turn: Turn) -> Say:
        """The next message of the investigation."""
        if on_call(turn):
            return Responder().reply(turn)
        if turn.wordy:
            return Say("\n".join(["What I found so far:", *turn.fact_lines, mark(turn.number)]))
        steps = {0: _arrive, 1: _inspect, 2: _listen}
        if step := steps.get(turn.number):
            return step()
        if turn.number == 3:
            suspects = suspects_of(turn.facts)
            chosen = choose(suspects)
            text = _explain(suspects, chosen)
            return Say(text, (_write(answer(chosen, turn.facts)),))
        if turn.number > 4:
            # The file was not there: write it again and hand it in with the same message.
            written = _write(answer(choose(suspects_of(turn.facts)), turn.facts))
            return Say("Once more.", (written, finish("The suspects with the most evidence are named.")))
        return Say("", (finish("The suspects with the most evidence are named."),))


def _arrive() -> Say:
    look = shell("ls -la; ls alerts 2>/dev/null | head -n 5; ls metrics* 2>/dev/null | wc -l")
    return Say("First: what is there, and what fired?", (look, _probe("alerts")))


def _inspect() -> Say:
    return Say(
        "Now the warnings, and the state and changes of objects.", (_probe("events"), _probe("objects"))
    )


def _listen() -> Say:
    return Say("Last, what the programs themselves say.", (_probe("logs"), _probe("traces")))


def _probe(name: str) -> Call:
    folder = resources.files("firedrill.agents.scripted").joinpath("probes")
    parts = [folder.joinpath(f"{part}.py.txt").read_text("utf-8") for part in ("common", name)]
    return shell("python3 - <<'PROBE'\n" + "\n\n".join(parts) + "PROBE", timeout=280)


def _write(document: Mapping[str, Any]) -> Call:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    return shell(f"cat > {ANSWER} <<'ANSWER'\n{text}\nANSWER\njq -c '.contributing_factors[].name' {ANSWER}")


def suspects_of(facts: Iterable[Mapping[str, Any]]) -> list[Suspect]:
    """Everything that some fact speaks against, the worst first."""
    facts = list(facts)
    table: dict[str, Suspect] = {}
    workloads = _workloads(facts)
    for fact in facts:
        kind, reason = str(fact["fact"]), str(fact.get("reason", ""))
        text = str(fact.get("text", ""))
        name = str(fact["id"])
        if kind == "event" and (quota := _QUOTA.search(text)):
            kind, reason, name = "quota-blocks", "", f"{name.partition('/')[0]}/ResourceQuota/{quota[1]}"
        rule = _weights().get(f"{kind}:{reason}") or _weights().get(kind)
        if rule is None:
            continue
        target = _target(rule["against"], name, fact, workloads)
        if target is None:
            continue
        suspect = table.setdefault(target, Suspect(target))
        key = f"{kind}:{reason}"
        if key not in suspect.points:
            suspect.points[key] = float(rule["points"])
            detail = " ".join(part for part in (reason, text) if part)[:160]
            suspect.findings.append(f"{rule['text']} ({detail})" if detail else str(rule["text"]))
    return sorted(table.values(), key=lambda suspect: (-suspect.score, suspect.name))


def choose(suspects: list[Suspect]) -> list[Suspect]:
    """The worst suspect, and at most two others that are nearly as bad and of another name."""
    chosen: list[Suspect] = []
    for suspect in suspects:
        if len(chosen) == _MOST or (chosen and suspect.score < _CLOSE * chosen[0].score):
            break
        if not any(_stem(suspect.name) == _stem(other.name) for other in chosen):
            chosen.append(suspect)
    return chosen


def answer(chosen: list[Suspect], facts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The answer file: the suspects, and a step from the first one to everything that fired."""
    factors = [
        {
            "name": suspect.name,
            "reasoning": "; ".join(suspect.findings[:3]),
            "evidence": f"{len(suspect.findings)} kinds of evidence, {suspect.score:g} points by rule",
        }
        for suspect in chosen
    ]
    steps: dict[str, dict[str, str]] = {}
    for fact in facts:
        hit = _alerted(fact) if fact["fact"] == "alert" else None
        if chosen and hit and _stem(hit) != _stem(chosen[0].name):
            condition = chosen[0].findings[0][:160]
            effect = f"alert {fact['id']}"
            steps.setdefault(
                hit, {"source": chosen[0].name, "target": hit, "condition": condition, "effect": effect}
            )
    return {"contributing_factors": factors, "propagations": list(steps.values())[:8]}


def _explain(suspects: list[Suspect], chosen: list[Suspect]) -> str:
    if not chosen:
        return "Nothing speaks against anything: the answer stays empty."
    lines = [f"- {suspect.name}: {suspect.score:g}" for suspect in suspects[:8]]
    return "\n".join(["Points against each suspect:", *lines, f"I name the first {len(chosen)}."])


def _workloads(facts: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Which kind of workload stands behind a name in a namespace, as far as the facts say."""
    known: dict[tuple[str, str], str] = {}
    for fact in facts:
        namespace, _, rest = str(fact["id"]).partition("/")
        kind, _, name = rest.partition("/")
        if kind in ("Deployment", "StatefulSet", "DaemonSet"):
            known[namespace, name] = kind
        owner_kind, _, owner = str(fact.get("owner", "")).partition("/")
        if owner_kind in ("StatefulSet", "DaemonSet"):
            known[namespace, owner] = owner_kind
    return known


def _target(
    against: str, name: str, fact: Mapping[str, Any], workloads: Mapping[tuple[str, str], str]
) -> str | None:
    """The entity id that a fact speaks against."""
    if against == "service":
        if fact["fact"] == "alert":
            hit = _alerted(fact)
            return _workload(hit, fact, workloads) if hit else None
        namespaces = {namespace for (namespace, known) in workloads if known == name}
        namespace = fact.get("namespace") or (min(namespaces) if namespaces else "")
        return _workload(f"{namespace}/Deployment/{name}", fact, workloads) if namespace else None
    return _workload(name, fact, workloads) if against == "workload" else name


def _workload(name: str, fact: Mapping[str, Any], workloads: Mapping[tuple[str, str], str]) -> str:
    """The workload that owns a pod or replica set, by its owner or by how Kubernetes names pods."""
    namespace, kind, rest = [*name.split("/", 2), "", ""][:3]
    if kind not in ("Pod", "ReplicaSet", "Deployment", "Service", "StatefulSet", "DaemonSet"):
        return name
    owner_kind, _, owner = str(fact.get("owner", "")).partition("/")
    if owner_kind in ("StatefulSet", "DaemonSet"):
        return f"{namespace}/{owner_kind}/{owner}"
    pattern = {"Pod": _POD, "ReplicaSet": _SET}.get(kind)
    match = pattern.match(rest) if pattern else None
    if kind == "Pod" and match is None:
        return name
    stem = match["stem"] if match else rest
    numbered = kind == "Pod" and rest.rpartition("-")[2].isdigit()
    usual = "StatefulSet" if numbered else "Deployment"
    return f"{namespace}/{workloads.get((namespace, stem), usual)}/{stem}"


def _alerted(fact: Mapping[str, Any]) -> str | None:
    about = fact.get("about")
    if not isinstance(about, dict):
        return None
    if about.get("node"):
        return f"cluster/Node/{about['node']}"
    namespace = about.get("namespace")
    label = next((label for label in _NAMESPACED if about.get(label)), None)
    if not namespace or label is None:
        return None
    kind = {"pod": "Pod", "deployment": "Deployment"}.get(label, "Service")
    return f"{namespace}/{kind}/{about[label]}"


def _stem(name: str) -> str:
    """What the objects of one component have in common: namespace and the name without hashes."""
    namespace, kind, rest = [*name.split("/", 2), "", ""][:3]
    pattern = {"Pod": _POD, "ReplicaSet": _SET}.get(kind)
    match = pattern.match(rest) if pattern else None
    return f"{namespace}/{match['stem'] if match else rest}"


@lru_cache(maxsize=1)
def _weights() -> dict[str, Any]:
    import yaml

    path = resources.files("firedrill.agents.scripted").joinpath("data", "weights.yaml")
    table: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return table
