"""What the assessors of a run said of the systems that they saw, ready to be written in an auditor's formats.

Only V0 is the assessed system; hidden variants tell how far its assessor can be trusted.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from firedrill.core.compliance import VISIBLE, ComplianceFacts, Judged
from firedrill.core.digest import digest_bytes
from firedrill.core.errors import InputError
from firedrill.core.grade import Grade
from firedrill.records.files import is_plain_file, read_bytes
from firedrill.records.folder import INTERVENTIONS, SUBMISSION
from firedrill.report import text
from firedrill.report.model import RunView

_NAMESPACE = uuid.UUID("6f1c7c3e-53f5-5d0e-9a55-1d8f0a0c7b42")
_OBJECT = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}/[A-Z][A-Za-z0-9]{0,62}/[^/\s]{1,253}")
_RULE = re.compile(r"([a-z0-9][a-z0-9./-]{0,250})/([A-Za-z0-9][\w.-]{0,62}): ")
_WORDS = 1000


@dataclass(frozen=True)
class Seen:
    """What was said of one thing: an object (`namespace/Kind/name`), a place of a host, or "" for the whole.

    Attributes:
        result: `pass`, `fail` or `error`.
        policy: which policy said so, else the file it stands in.
        rule: of that policy; "" where it is not known.
    """

    thing: str
    result: str
    policy: str
    rule: str
    message: str

    @property
    def is_object(self) -> bool:
        """Whether it is an object of a cluster, by the form of its name."""
        return _OBJECT.fullmatch(self.thing) is not None


@dataclass(frozen=True)
class Evidence:
    """One episode's assessment.

    Attributes:
        verdict: `pass`, `fail`, or why there is none: `error`, `undefined`, `timeout`, `none`.
        reason: of a verdict that is none.
        digests: of the episode's records, by the path of each from the run's folder.
    """

    name: str
    scenario: str
    title: str
    agent: str
    repeat: int
    facts: ComplianceFacts
    grade: Grade | None
    verdict: str
    reason: str
    seen: tuple[Seen, ...]
    digests: dict[str, str]


def evidence_of(view: RunView) -> list[Evidence]:
    """The assessments of a run, in the order of its plan.

    Raises:
        InputError: it has none, or a record is damaged.
    """
    found = list(_episodes(view))
    if not found:
        raise InputError(
            "holds no assessment of compliance",
            source=str(view.run.path),
            mend="run one, as `firedrill run lite-ciso`; incidents have json, csv and markdown",
        )
    return found


def identifier(view: RunView, *parts: object) -> str:
    """A UUID (version 5) that is the same whenever the same plan is run with the same seed."""
    suite = view.manifest.suite
    name = "\n".join(map(str, (suite.name, suite.digest, view.seed, *parts)))
    return str(uuid.uuid5(_NAMESPACE, name))


def _episodes(view: RunView) -> Iterator[Evidence]:
    for record, grade in view.results:
        facts = view.run.compliance(record.key)
        if facts is None or not record.outcome.counts:
            continue
        whole = next((item for item in facts.judged if item.name == VISIBLE), None)
        scenario = view.run.scenario(record.scenario).document.get("scenario", {})
        title = scenario.get("metadata", {}).get("title") or record.scenario
        folder = view.run.folder(record.key)
        yield Evidence(
            name=f"{record.scenario}/{record.agent}/{record.repeat}",
            scenario=record.scenario,
            title=text.one_line(title),
            agent=text.one_line(view.name(record.agent)),
            repeat=record.repeat,
            facts=facts,
            grade=grade,
            verdict="none" if whole is None else text.one_line(whole.got, 40),
            reason=_reason(facts, whole),
            seen=() if whole is None else _seen(facts, whole),
            digests={
                (folder / name).relative_to(view.run.path).as_posix(): digest_bytes(read_bytes(folder / name))
                for name in (INTERVENTIONS, SUBMISSION)
                if is_plain_file(folder / name)
            },
        )


def _reason(facts: ComplianceFacts, whole: Judged | None) -> str:
    stages = (facts.collector, facts.engine, facts.evidence)
    told = whole.reason if whole else next((item.reason for item in stages if item.reason), "")
    return text.one_line(told, _WORDS)


def _seen(facts: ComplianceFacts, whole: Judged) -> tuple[Seen, ...]:
    """What was said by object; where nothing was, what was said of the whole."""
    file = next((name for name in facts.submitted if name.startswith("policy.")), "policy")
    found = [
        _row(item.object, "fail" if item.got in ("fail", "block") else item.got, item.detail, file)
        for item in whole.objects
        if item.got in ("pass", "fail", "block", "error")
    ]
    if whole.got == "fail" and not found:
        found = [_row(name, "fail", "named as breaking the requirement", file) for name in whole.named or ()]
    if not found:
        result = whole.got if whole.got in ("pass", "fail") else "error"
        found = [_row("", result, whole.reason, file)]
    return tuple(found)


def _row(thing: str, result: str, detail: str, file: str) -> Seen:
    match = _RULE.match(detail)
    policy, rule = match.groups() if match else (file, "")
    return Seen(
        thing=text.one_line(thing, 400),
        result=result,
        policy=text.one_line(policy),
        rule=rule,
        message=text.one_line(detail[match.end() :] if match else detail, _WORDS),
    )


__all__ = ["Evidence", "Seen", "evidence_of", "identifier"]
