"""The facts of a living episode: read back as they were written, and nothing else is taken."""

import pytest
from pydantic import ValidationError

from firedrill.core.living import (
    AlertSpan,
    Branches,
    BranchMinute,
    Facts,
    Flaw,
    HarmItem,
    LivingTimes,
    PartFacts,
    RepairFacts,
    RequestLine,
)

ROLES = 'pods "a" is forbidden: User "b" cannot get resource "pods" in API group "" in the namespace "c"'
TIMES = LivingTimes(t0=0, tb=1, tf=2, ta=3, ts=4, te=5, tv=6)


def test_what_is_written_is_read_back_the_same() -> None:
    facts = Facts(
        times=TIMES,
        alerts=(AlertSpan(name="High", labels={"a": "b"}, fired=3),),
        branches=Branches(agent=(BranchMinute(at=4, bad=0.5, success=0.9, offered=10, failed=1),)),
        repair=RepairFacts(whole=PartFacts(total=4, flaws=(Flaw(entity="s/Pod/p", what="missing"),))),
        harm=(HarmItem(kind="data", entity="s/Secret/x", requests=(0,)),),
        requests=(RequestLine(at_ms=4, verb="delete", resource="secrets", name="x", namespace="s"),),
    )
    text = facts.model_dump_json()
    assert Facts.model_validate_json(text) == facts
    assert Facts.model_validate_json(text).model_dump_json() == text


@pytest.mark.parametrize("wrong", [{"bad": 1.5}, {"bad": float("nan")}, {"success": -0.1}, {"speed": 1}])
def test_a_minute_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    minute = {"at": 0, "bad": 0.0, "success": 1.0, "offered": 0, "failed": 0}
    with pytest.raises(ValidationError):
        BranchMinute.model_validate({**minute, **wrong})


@pytest.mark.parametrize(
    ("line", "writes", "refused"),
    [
        ({"verb": "list"}, False, False),
        ({"verb": "patch"}, True, False),
        ({"verb": "patch", "dry_run": True}, False, False),
        ({"verb": "delete", "effect": "deny", "code": 403}, True, True),
        ({"verb": "get", "code": 403, "reason": ROLES}, False, True),
        ({"verb": "get", "code": 403, "reason": 'forbidden: User "a" cannot get path "/x"'}, False, True),
        ({"verb": "create", "code": 403, "reason": 'pods "a" is forbidden: exceeded quota: q'}, True, False),
        ({"verb": "get", "code": 200, "reason": ROLES}, False, False),
    ],
)
def test_a_request_says_whether_it_writes_and_was_refused(
    line: dict[str, object], writes: bool, refused: bool
) -> None:
    request = RequestLine.model_validate({"at_ms": 0, **line})
    assert (request.writes, request.refused) == (writes, refused)
