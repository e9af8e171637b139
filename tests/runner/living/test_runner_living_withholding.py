"""What is withheld from agents on call: names, and requests that then find nothing."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from firedrill.agents import AgentRequest
from firedrill.core.errors import InputError
from firedrill.runner.living import spec_of
from firedrill.runner.living.withholding import KINDS, SCRAPED_MS, Withheld, unrecorded, veiled
from firedrill.runner.planning import entrant, refuse_strangers, refuse_unready
from firedrill.sandbox import SandboxSpec
from firedrill.suites import open_suite
from firedrill.world.telemetry import SeriesStore

ALL = Withheld(frozenset(KINDS))


def test_names_are_read() -> None:
    assert Withheld.parse([]) == Withheld()
    assert Withheld.parse(["logs", "traces"]) == Withheld(frozenset({"logs", "traces"}))
    assert Withheld.parse(["traces:0.01"]) == Withheld(traces=0.01)
    assert Withheld.parse(["metrics:60s", "traces"]) == Withheld(frozenset({"traces"}), metrics_ms=60_000)
    assert Withheld.parse(["metrics:5m"]).metrics_ms == 300_000
    assert SeriesStore().interval_ms == SCRAPED_MS


@pytest.mark.parametrize(
    "name",
    [
        "objects",
        "topology",
        "traces:0",
        "traces:1",
        "traces:x",
        "traces:nan",
        "logs:0.5",
        "metrics:0.5",
        "metrics:15s",
        "metrics:40s",
        "metrics:2h",
        "metrics:61m",
        "metrics:-60s",
    ],
)
def test_what_cannot_be_withheld_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="withh"):
        Withheld.parse([name])


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/api/v1/events", "limit=5", ("/api/v1/events", "limit=5&fieldSelector=metadata.name%3D-")),
        (
            "/apis/events.k8s.io/v1/namespaces/a/events",
            "watch=1&fieldSelector=type%3DWarning",
            (
                "/apis/events.k8s.io/v1/namespaces/a/events",
                "watch=1&fieldSelector=type%3DWarning%2Cmetadata.name%3D-",
            ),
        ),
        ("/api/v1/namespaces/a/events/b", "", ("/api/v1/namespaces/a/events/b-", "")),
        (
            "/api/v1/namespaces/a/pods/b/log",
            "container=c&follow=true&tailLines=9",
            ("/api/v1/namespaces/a/pods/b/log", "container=c&tailLines=0"),
        ),
        ("/apis/metrics.k8s.io/v1beta1/pods", "", ("/apis/withheld.invalid/v1beta1/pods", "")),
        ("/api/v1/namespaces/a/pods/b", "x=y", ("/api/v1/namespaces/a/pods/b", "x=y")),
        ("/apis", "", ("/apis", "")),
    ],
)
def test_requests_find_nothing(path: str, query: str, expected: tuple[str, str]) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode()}
    found = veiled(scope, ALL)
    assert (found["path"], found["query_string"].decode()) == expected
    assert veiled(scope, Withheld()) == scope


def item(backend: str) -> Any:
    return SimpleNamespace(
        id="x", scenario=SimpleNamespace(environment=SimpleNamespace(backend=backend), truth={})
    )


def test_whoever_runs_commands_on_a_world_needs_the_sandbox() -> None:
    null, program = entrant(AgentRequest("null")), entrant(AgentRequest("command:bash -c true"))
    bare = SandboxSpec(kind="none")
    refuse_unready([item("world")], [null], bare)
    refuse_unready([item("snapshot")], [program], bare)
    with pytest.raises(InputError, match="inside the sandbox"):
        refuse_unready([item("snapshot"), item("world")], [null, program], bare)


def test_who_only_acts_is_refused_on_recordings() -> None:
    options = {"base_url": "http://127.0.0.1:1/v1"}
    react = entrant(AgentRequest("react", "scripted/x", {**options, "toolbox": "live"}))
    crew = entrant(AgentRequest("crew-sre", "scripted/x", options))
    program = entrant(AgentRequest("command:bash -c true", None, {"toolbox": "live"}))
    for one in (react, crew, program):
        refuse_strangers([item("world")], [one], [])
        with pytest.raises(InputError, match="recorded incident"):
            refuse_strangers([item("world"), item("snapshot")], [one], [])


def test_the_tools_of_recordings_are_refused_on_worlds() -> None:
    options = {"base_url": "http://127.0.0.1:1/v1", "toolbox": "full"}
    react = entrant(AgentRequest("react", "scripted/x", options))
    program = entrant(AgentRequest("command:bash -c true", None, {"toolbox": "full"}))
    for one in (react, program):
        refuse_strangers([item("snapshot")], [one], [])
        with pytest.raises(InputError, match="--toolbox live, or nl"):
            refuse_strangers([item("world")], [one], [])


def test_a_share_is_for_living_worlds() -> None:
    refuse_strangers([item("world")], [], ["traces:0.5", "events"])
    refuse_strangers([item("snapshot")], [], ["topology"])
    for chosen in ([item("snapshot")], [item("snapshot"), item("world")]):
        with pytest.raises(InputError, match=r"traces:0\.5"):
            refuse_strangers(chosen, [], ["traces:0.5"])
    with pytest.raises(InputError, match="topology"):
        refuse_strangers([item("world")], [], ["topology"])


def test_what_a_scenario_leaves_out_is_withheld() -> None:
    assert unrecorded(()) == ()
    assert unrecorded(("alerts", "events", "objects", "logs", "metrics", "topology")) == ("traces",)
    twins = Counter(spec_of(item).without for item in open_suite("sre-paper").scenarios)
    assert set(twins) == {(), ("traces",)}
    assert twins[()] == twins[("traces",)] > 0
