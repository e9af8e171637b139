"""Amounts, selectors and rules of experiments, and what reads hostile texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.app.rules import ANSWER_BYTES, Rule, crowded
from firedrill.world.kube.chaos import amounts, rules
from firedrill.world.kube.effects import Effect, like, touches

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("text", "ms"),
    [("55s", 55_000), ("1h30m", 5_400_000), ("200ms", 200), ("-10m", -600_000), ("0", 0), ("1.5s", 1500)]
    + [(wrong, None) for wrong in ("", "5", "s", "5 s", "1x", None, "ms5")],
)
def test_durations_are_those_of_go(text: str, ms: int | None) -> None:
    assert amounts.duration_ms(text) == ms


def test_sizes_rates_and_percentages() -> None:
    assert amounts.size("256MB", 1000) == 256 << 20
    assert amounts.size("100%", 4096) == 4096 and amounts.size("", 4096) == 4096
    assert amounts.size("6GB", 1) == 6 << 30 and amounts.size("x", 1) == 0
    assert amounts.rate("1mbps") == 1_000_000 and amounts.rate("8kbit") == 1000 and amounts.rate("fast") == 0
    assert [amounts.thousandths(text) for text in ("25", "12.5%", "200", "-3", "nan", "inf", None)] == [
        *(250, 125, 1000, 0, 0, 0, 0)
    ]


@given(st.text(max_size=80))
def test_no_text_is_too_much(text: str) -> None:
    amounts.duration_ms(text)
    amounts.size(text, 10)
    amounts.rate(text)
    assert 0 <= amounts.thousandths(text) <= 1000
    assert like("*", text)


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_patterns_mean_what_shells_mean(pattern: str, text: str) -> None:
    from fnmatch import fnmatchcase

    assert like(pattern, text) == fnmatchcase(text, pattern)


def test_requests_are_told_by_port_method_and_path() -> None:
    detail = (("port", "8080"), ("method", "post"), ("path", "/api/*"))
    row = Effect("pod/x", "http_abort", 1, "test", detail=detail)
    assert touches(row, 8080, "POST", "/api/cart")
    assert not touches(row, 8081, "POST", "/api/cart")
    assert not touches(row, 8080, "GET", "/api/cart")
    assert not touches(row, 8080, "POST", "/home")
    assert touches(Effect("pod/x", "http_abort", 1, "test"), 1, "GET", "/anything")


def jvm(**spec: Any) -> list[Effect]:
    obj = {"kind": "JVMChaos", "metadata": {"namespace": "n", "name": "x"}, "spec": spec}
    return rules.jvm(obj, "uid")


def test_rules_of_byteman_are_understood_as_far_as_they_are_felt() -> None:
    text = "RULE r\\nCLASS AdService\\nMETHOD getInstance\\nAT ENTRY\\nIF true\\nDO return null\\nENDRULE"
    (returned,) = jvm(action="ruleData", ruleData=text)
    assert (returned.said("class"), returned.said("method")) == ("AdService", "getInstance")
    assert returned.said("exception") == "java.lang.NullPointerException"
    (thrown,) = jvm(
        action="ruleData", ruleData='RULE r\nCLASS A\nMETHOD b\nDO throw new x.Oops("no")\nENDRULE'
    )
    assert (thrown.said("exception"), thrown.said("message")) == ("x.Oops", "no")
    (slept,) = jvm(action="ruleData", ruleData="RULE r\nCLASS A\nMETHOD b\nDO delay(700)\nENDRULE")
    assert (slept.parameter, slept.value) == ("jvm_delay_ms", 700)
    assert jvm(action="ruleData", ruleData="nothing at all") == []
    (exception,) = jvm(
        action="exception", exception='java.io.IOException("BOOM")', method="m", **{"class": "C"}
    )
    assert (exception.said("exception"), exception.said("message")) == ("java.io.IOException", "BOOM")


@given(st.text(max_size=300))
def test_rules_can_be_any_text(text: str) -> None:
    for row in jvm(action="ruleData", ruleData=text) + jvm(action="exception", exception=text):
        assert row.value >= 0


def test_attributes_that_change_nothing_are_not_felt() -> None:
    def disk(**spec: Any) -> list[Effect]:
        body = {"action": "attrOverride", **spec}
        return rules.disk(
            {"kind": "IOChaos", "metadata": {"namespace": "n", "name": "x"}, "spec": body}, "uid"
        )

    assert disk(attr={"perm": 72}) and disk(attr={"size": 0})
    assert disk(attr={"perm": 420}) == [] and disk(attr={"perm": 72}, percent=0) == []


def test_what_is_sent_beyond_a_rate_waits_and_is_lost() -> None:
    rule = Rule("rate", 10 * ANSWER_BYTES, more=20 * ANSWER_BYTES)
    waits = [crowded(rule, share * rule.value) for share in (0.0, 0.5, 0.9, 2.0)]
    assert [wait for wait, _ in waits] == sorted(wait for wait, _ in waits)
    assert waits[0] == (100.0, 0.0) and waits[1][0] == pytest.approx(150.0)
    assert waits[3] == (2000.0, 0.5)


def test_rules_hit_whom_they_name() -> None:
    rule = Rule("code", 7, source=np.array([True, False]), edge=np.array([False, True]))
    edge, source, pod = np.array([1, 1, 0]), np.array([0, 1, 0]), np.array([-1, 1, 1])
    assert rule.hits(edge, source, pod, np.zeros(3)).tolist() == [True, False, False]
    half = Rule("fail", 1, 0.5, pod=np.array([True, True]))
    assert half.hits(edge, source, pod, np.array([0.1, 0.1, 0.9])).tolist() == [False, True, False]
