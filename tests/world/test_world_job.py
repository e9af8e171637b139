"""Jobs and cron jobs."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.kube import objects
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers._schedule import ScheduleError, parse
from firedrill.world.kube.controllers.job_pods import read_indexes, write_indexes
from firedrill.world.kube.objects import labels_of, name_of
from firedrill.world.sim.clock import epoch_ms, rfc3339

J, C = "jobs.batch", "cronjobs.batch"


def template(image: str) -> dict[str, Any]:
    container = {"name": "main", "image": image}
    return {"spec": {"containers": [container], "restartPolicy": "Never"}}


def job(lab: Any, image: str = "done", **spec: Any) -> None:
    lab.make("Job", "work", api="batch/v1", selector=None, template=template(image), **spec)


def condition(obj: Any, type_: str) -> Any:
    return objects.condition(obj, type_)


def test_a_job_runs_to_completion(lab: Any) -> None:
    job(lab, completions=3, parallelism=2)
    lab.seconds(1.5)
    assert lab.status(J, "work")["active"] == 2
    lab.seconds(15)
    status = lab.status(J, "work")
    assert status["succeeded"] == 3
    assert "active" not in status
    assert [(item["type"], item["reason"]) for item in status["conditions"]] == [
        ("SuccessCriteriaMet", "CompletionsReached"),
        ("Complete", "CompletionsReached"),
    ]
    assert status["completionTime"]
    told = lab.told("Job", "work")
    assert [reason for reason, _ in told] == ["SuccessfulCreate"] * 3 + ["Completed"]
    pod = lab.objects("pods")[0]
    assert "finalizers" not in pod["metadata"]
    assert labels_of(pod)["batch.kubernetes.io/job-name"] == labels_of(pod)["job-name"] == "work"
    lab.client.delete(J, "shop", "work", propagation="Background")


def test_failures_back_off_and_end_at_the_limit(lab: Any) -> None:
    job(lab, "fails", backoffLimit=2)
    lab.seconds(8)
    assert len(lab.objects("pods")) == 1
    lab.seconds(10)
    assert len(lab.objects("pods")) == 2
    lab.seconds(40)
    status = lab.status(J, "work")
    assert status["failed"] == 3
    assert [(item["type"], item["reason"]) for item in status["conditions"]] == [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ]
    assert lab.told("Job", "work")[-1] == (
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
    )


def test_a_deadline_ends_a_job_and_its_pods(lab: Any) -> None:
    job(lab, "ok", activeDeadlineSeconds=20, parallelism=2)
    lab.seconds(30)
    assert condition(lab.get(J, "work"), "Failed")["reason"] == "DeadlineExceeded"
    assert lab.objects("pods") == []


def test_indexed_pods_know_their_number(lab: Any) -> None:
    job(lab, completions=3, parallelism=3, completionMode="Indexed")
    lab.seconds(1)
    names = [name_of(pod).rsplit("-", 1)[0] for pod in lab.objects("pods")]
    assert names == ["work-0", "work-1", "work-2"]
    env = lab.objects("pods")[1]["spec"]["containers"][0]["env"]
    assert env[0]["name"] == "JOB_COMPLETION_INDEX"
    lab.seconds(10)
    assert lab.status(J, "work")["completedIndexes"] == "0-2"


def test_a_failure_policy_ends_the_job_at_once(lab: Any) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}
    job(lab, "fails", backoffLimit=6, podFailurePolicy={"rules": [rule]})
    lab.seconds(10)
    failed = condition(lab.get(J, "work"), "Failed")
    (pod,) = lab.objects("pods")
    assert failed["reason"] == "PodFailurePolicy"
    assert failed["message"] == (
        f"Container main for pod shop/{name_of(pod)} failed with exit code 1 matching FailJob rule at index 0"
    )


def test_a_suspended_job_has_no_pods_until_it_is_resumed(lab: Any) -> None:
    job(lab, suspend=True)
    lab.seconds(5)
    assert lab.objects("pods") == []
    assert condition(lab.get(J, "work"), "Suspended")["status"] == "True"
    assert "startTime" not in lab.status(J, "work")
    lab.change(J, "work", suspend=False)
    lab.seconds(10)
    assert [reason for reason, _ in lab.told("Job", "work")] == [
        "Suspended",
        "SuccessfulCreate",
        "Resumed",
        "Completed",
    ]


def test_a_finished_job_goes_after_its_time(lab: Any) -> None:
    job(lab, ttlSecondsAfterFinished=30)
    lab.seconds(20)
    assert lab.status(J, "work")["succeeded"] == 1
    lab.seconds(60)
    with pytest.raises(ApiError):
        lab.get(J, "work")
    assert lab.objects("pods") == []


def test_a_cron_job_runs_each_minute_and_keeps_a_short_history(lab: Any) -> None:
    spec = {"schedule": "* * * * *", "successfulJobsHistoryLimit": 2}
    more = {"jobTemplate": {"spec": {"template": template("done")}}}
    lab.make("CronJob", "tick", api="batch/v1", selector=None, template=None, **spec, **more)
    lab.seconds(270)
    names = [name_of(item) for item in lab.objects(J)]
    first = lab.world.start // 60_000
    assert names == [f"tick-{first + 3}", f"tick-{first + 4}"]
    told = lab.told("CronJob", "tick")
    assert told[0] == ("SuccessfulCreate", f"Created job tick-{first + 1}")
    assert ("SawCompletedJob", f"Saw completed job: tick-{first + 1}, condition: Complete") in told
    assert ("SuccessfulDelete", f"Deleted job tick-{first + 1}") in told
    assert lab.status(C, "tick")["lastScheduleTime"] == rfc3339((first + 4) * 60_000)


@pytest.mark.parametrize(("policy", "active"), [("Allow", 3), ("Forbid", 1), ("Replace", 1)])
def test_concurrency(lab: Any, policy: str, active: int) -> None:
    more = {"jobTemplate": {"spec": {"template": template("ok")}}, "concurrencyPolicy": policy}
    lab.make("CronJob", "tick", api="batch/v1", selector=None, template=None, schedule="* * * * *", **more)
    lab.seconds(200)
    assert len(lab.status(C, "tick")["active"]) == active


@pytest.mark.parametrize(
    ("text", "zone", "after", "expected"),
    [
        ("*/15 9-17 * * 1-5", "", "2026-01-05T09:07:00Z", "2026-01-05T09:15:00Z"),
        ("0 0 1 jan *", "", "2026-01-05T09:00:00Z", "2027-01-01T00:00:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-01-05T09:00:00Z", "2026-01-06T01:30:00Z"),
        ("30 2 29 3 *", "Europe/Berlin", "2026-01-05T09:00:00Z", "2027-03-29T00:30:00Z"),
        ("0 0 13 * 5", "", "2026-01-05T09:00:00Z", "2026-01-09T00:00:00Z"),
        ("@every 90s", "", "2026-01-05T09:00:00Z", "2026-01-05T09:01:30Z"),
    ],
)
def test_schedules(text: str, zone: str, after: str, expected: str) -> None:
    found = parse(text, zone).after(epoch_ms(after))
    assert found is not None
    assert rfc3339(found) == expected


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "a * * * *", "5-1 * * * *", "*/0 * * * *"])
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse(text)


@given(st.text(max_size=40), st.text(max_size=20))
def test_schedules_never_do_worse_than_refuse(text: str, zone: str) -> None:
    with contextlib.suppress(ScheduleError):
        parse(text, zone)


@given(st.sets(st.integers(0, 60)))
def test_indexes_survive_being_written(numbers: set[int]) -> None:
    assert read_indexes(write_indexes(numbers)) == numbers
