"""The policy of the demo for agents on call: a rule that looks, repairs, checks, and hands in.

It knows how clusters are usually broken and mended, and no incident in particular: a release after which
pods do not come up is taken back, what was scaled to nothing is scaled up again, a node that pods wait for is
uncordoned, an experiment is ended. What does not help is taken back too, and the rest goes to a person.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from firedrill.agents.scripted.policy import Call, Say, Turn, finish, mark, shell

_ANSWER = re.compile(r"(/\S+/agent_output\.json)")
_ALERTMANAGER = re.compile(r"Alertmanager: (http://[\w.:]+)")
_ALERT = re.compile(r"^\*\*(\w+)\*\* fires since (\S+): ", re.MULTILINE)
_NAMESPACE = re.compile(r"runs in the namespace `([^`]+)`")
_SURE = 8
"""Points from which on a remedy is applied without waiting for what the others do."""
_CHECKS = 4
"""How often the alerts are looked at after a change before it counts as none that helps."""
_PAUSE = 120
_LOOKS = 2
_ROLLED = {"Deployment": "deployment", "StatefulSet": "statefulset", "DaemonSet": "daemonset"}


@dataclass(frozen=True)
class Remedy:
    """Something that can be done: what for, how, and how it is taken back."""

    cause: str
    points: int
    command: str
    back: str
    why: str


@dataclass(frozen=True)
class Pager:
    """What the task says."""

    answer: str
    alertmanager: str
    names: tuple[str, ...]
    onset: str
    namespace: str

    @classmethod
    def read(cls, task: str) -> Pager:
        """From the task's text."""
        answer, alertmanager = _ANSWER.search(task), _ALERTMANAGER.search(task)
        namespace = _NAMESPACE.search(task)
        fired = _ALERT.findall(task)
        return cls(
            answer[1] if answer else "/home/user/agent_output.json",
            alertmanager[1] if alertmanager else "http://127.0.0.1:9093",
            tuple(sorted({name for name, _ in fired})),
            min((at for _, at in fired), default="1970-01-01T00:00:00Z"),
            namespace[1] if namespace else "default",
        )


def on_call(turn: Turn) -> bool:
    """Whether the conversation is about a living world."""
    return bool(turn.messages) and turn.messages[0].text.lstrip().startswith("# You are on call")


class Responder:
    """Looks around once, applies remedies by the strength of their evidence, and watches what comes of it."""

    def reply(self, turn: Turn) -> Say:
        """The next message."""
        if turn.wordy:
            return Say("\n".join(["What I found and did so far:", *turn.fact_lines, mark(turn.number)]))
        facts = turn.facts
        pager = Pager.read(turn.messages[0].text)
        if not any(fact["fact"] == "looked" for fact in facts):
            if turn.number >= _LOOKS:
                return _hand_over(pager, facts, ())
            return Say("First: what does not run, and what was changed before it began?", (_look(pager),))
        return _next(pager, facts)


def _next(pager: Pager, facts: Sequence[Mapping[str, Any]]) -> Say:
    plan = remedies(facts, pager)
    acted = [str(fact["id"]) for fact in facts if fact["fact"] == "acted"]
    if acted:
        checks = _checks_since(facts)
        if checks and not checks[-1]:
            helped = [item for item in plan if item.cause in acted and item.cause not in _reverted(facts)]
            return _hand_in(pager, helped, facts)
        if len(checks) < _CHECKS:
            return Say("Not over yet. I wait and look again.", (_check(pager),))
    left = [item for item in plan if item.cause not in acted]
    backs = [item for item in plan if item.cause == (acted[-1] if acted else "") and item.points < _SURE]
    calls = [_undo(item) for item in backs if item.cause not in _reverted(facts)]
    sure = [item for item in left if item.points >= _SURE] or left[:1]
    if not sure:
        return _hand_over(pager, facts, calls)
    why = "\n".join(f"- {item.why}" for item in sure)
    calls += [_apply(item) for item in sure]
    return Say(f"What speaks for it, and what I do:\n{why}", (*calls, _check(pager)))


def remedies(facts: Iterable[Mapping[str, Any]], pager: Pager) -> list[Remedy]:
    """What the facts suggest to do, the best founded first."""
    found: dict[str, Remedy] = {}
    for fact in facts:
        made = _remedy(fact, pager)
        if made is not None and made.points > (found[made.cause].points if made.cause in found else 0):
            found[made.cause] = made
    return sorted(found.values(), key=lambda item: (-item.points, item.cause))


def _remedy(fact: Mapping[str, Any], pager: Pager) -> Remedy | None:
    cause = str(fact["id"])
    namespace, kind, name = [*cause.split("/", 2), "", ""][:3]
    at = f"kubectl -n {shlex.quote(namespace)}"
    what = f"{_ROLLED.get(kind, '')}/{shlex.quote(name)}"
    if fact["fact"] == "change" and kind in _ROLLED:
        own = namespace in (pager.namespace, "kube-system")
        points = (10 if own else 4) if fact.get("short") else 3 if own else 0
        undo = f"{at} rollout undo {what} && {at} rollout status {what} --timeout=240s"
        return Remedy(
            cause, points, undo, undo, f"{cause} was changed at {fact.get('at')}: {fact.get('what')}"
        )
    if fact["fact"] == "zero" and kind in _ROLLED and fact.get("recent"):
        scale = f"{at} scale {what} --replicas="
        up = f"{scale}{int(fact['was'])} && {at} rollout status {what} --timeout=240s"
        return Remedy(cause, 9, up, f"{scale}0", f"{cause} was scaled from {fact['was']} to nothing")
    if fact["fact"] == "cordoned" and fact.get("pending"):
        node = shlex.quote(name)
        why = f"{cause} takes no pods, and {fact['pending']} wait for a place"
        return Remedy(cause, 8, f"kubectl uncordon {node}", f"kubectl cordon {node}", why)
    aimed = pager.namespace in (namespace, *fact.get("aims", ()))
    if fact["fact"] == "experiment" and fact.get("recent") and aimed:
        delete = f"{at} delete {shlex.quote(str(fact['resource']))} {shlex.quote(name)}"
        return Remedy(cause, 9, delete, "true", f"the experiment {cause} began at {fact.get('at')}")
    return None


def _checks_since(facts: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What fired at each look since the last change."""
    checks: list[list[str]] = []
    for fact in facts:
        if fact["fact"] == "acted":
            checks = []
        elif fact["fact"] == "firing":
            checks.append(list(fact.get("names", [])))
    return checks


def _reverted(facts: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(fact["id"]) for fact in facts if fact["fact"] == "reverted"}


def _look(pager: Pager) -> Call:
    return _probe("cluster", {"ONSET": pager.onset})


def _check(pager: Pager) -> Call:
    names = " ".join(pager.names)
    return _probe("firing", {"ALERTS": pager.alertmanager, "TOLD": names}, f"sleep {_PAUSE}\n")


def _probe(name: str, env: Mapping[str, str], before: str = "") -> Call:
    folder = resources.files("firedrill.agents.scripted").joinpath("probes")
    text = folder.joinpath(f"{name}.py.txt").read_text("utf-8")
    given = " ".join(f"{key}={shlex.quote(value)}" for key, value in env.items())
    return shell(f"{before}{given} python3 - <<'PROBE'\n{text}PROBE", timeout=280)


def _apply(item: Remedy) -> Call:
    return shell(f"{item.command}\necho {_fact('acted', item)}", timeout=280)


def _undo(item: Remedy) -> Call:
    return shell(f"{item.back}\necho {_fact('reverted', item)}", timeout=280)


def _fact(kind: str, item: Remedy) -> str:
    return shlex.quote(
        json.dumps({"fact": kind, "id": item.cause, "what": item.command.partition(" && ")[0]})
    )


def _hand_in(pager: Pager, helped: Sequence[Remedy], facts: Sequence[Mapping[str, Any]]) -> Say:
    document = {
        "contributing_factors": [
            {"name": item.cause, "reasoning": item.why, "evidence": "it ended when this was taken back"}
            for item in helped
        ],
        "propagations": [],
        "changes": _changes(facts),
    }
    return Say("The alerts are over.", (_write(pager, document), _finish(pager, "The alerts are over.")))


def _hand_over(pager: Pager, facts: Sequence[Mapping[str, Any]], calls: Sequence[Call]) -> Say:
    suspects = [str(fact["id"]) for fact in facts if fact["fact"] in ("not-ready", "short")]
    reason = "nothing that was changed before it began explains it, or taking it back did not help"
    document = {
        "contributing_factors": [
            {"name": name, "reasoning": "it is not well, and I do not know why"}
            for name in dict.fromkeys(suspects[:1])
        ],
        "propagations": [],
        "changes": _changes(facts),
        "escalate": True,
        "escalate_reason": reason,
    }
    return Say("This needs a person.", (*calls, _write(pager, document), _finish(pager, reason)))


def _changes(facts: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    words = {"acted": "it was changed shortly before the alerts", "reverted": "that did not help"}
    return [
        {"what": str(fact.get("what", "")), "why": words[str(fact["fact"])]}
        for fact in facts
        if fact["fact"] in words
    ]


def _write(pager: Pager, document: Mapping[str, Any]) -> Call:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    return shell(f"cat > {shlex.quote(pager.answer)} <<'ANSWER'\n{text}\nANSWER")


def _finish(pager: Pager, reason: str) -> Call:
    return finish(reason, [pager.answer])


__all__ = ["Pager", "Remedy", "Responder", "on_call", "remedies"]
