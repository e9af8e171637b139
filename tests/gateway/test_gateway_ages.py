"""Ages that kubectl counts from its own clock are the world's."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from firedrill.gateway.kubernetes.ages import retold

NOW = round(datetime(2026, 1, 10, 12, tzinfo=UTC).timestamp() * 1000)
WALL = datetime(2031, 5, 5, 7, 0, 0, 250_000, tzinfo=UTC).timestamp()
EVENT: dict[str, Any] = {
    "metadata": {"name": "a.1", "creationTimestamp": "2026-01-10T11:58:00Z"},
    "firstTimestamp": "2026-01-10T11:59:00Z",
    "lastTimestamp": None,
    "eventTime": "2026-01-10T11:59:30.500000Z",
    "series": {"count": 2, "lastObservedTime": "2026-01-10T11:59:59.000000Z"},
    "message": "2026-01-10T11:59:00Z",
}


def test_events_are_as_long_ago_as_they_were() -> None:
    given = {"kind": "EventList", "items": [copy.deepcopy(EVENT)]}
    told = retold(given, "kubectl describe", "events", NOW, WALL)
    assert told["items"] == [
        {
            "metadata": {"name": "a.1", "creationTimestamp": "2031-05-05T06:58:00.250Z"},
            "firstTimestamp": "2031-05-05T06:59:00.250Z",
            "lastTimestamp": None,
            "eventTime": "2031-05-05T06:59:30.750000Z",
            "series": {"count": 2, "lastObservedTime": "2031-05-05T06:59:59.250000Z"},
            "message": EVENT["message"],
        }
    ]
    assert given["items"] == [EVENT], "what is stored is left alone"


def test_of_pods_only_the_age_is_another() -> None:
    pod = {
        "metadata": {"creationTimestamp": "2026-01-10T11:00:00Z"},
        "status": {"startTime": "2026-01-10T11:00:00Z"},
    }
    (told,) = retold({"items": [pod]}, "kubectl describe", "pods", NOW, WALL)["items"]
    assert told == {**pod, "metadata": {"creationTimestamp": "2031-05-05T06:00:00.250Z"}}


@pytest.mark.parametrize(
    ("command", "resource", "answer"),
    [
        ("kubectl get", "events", {"items": [EVENT]}),
        ("", "events", {"items": [EVENT]}),
        ("kubectl describe", "deployments.apps", {"items": [EVENT]}),
        ("kubectl events", "pods", {"items": [EVENT]}),
        ("kubectl describe", "events", EVENT),
    ],
)
def test_nothing_else_is_told_otherwise(command: str, resource: str, answer: Any) -> None:
    assert retold(answer, command, resource, NOW, WALL) is answer
