"""What kubectl prints of a world under recorded faults is what it printed of a real cluster."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firedrill.gateway.kubernetes.kubectl import find_kubectl

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import likeness
import likeness_report
import likeness_situations

FOUND = find_kubectl()
# one of each kind of fault: images, scheduling, memory, probes, Services, volumes, quotas, nodes
FAULTS = (
    "incorrect_image_reference",
    "taint_toleration_mismatch",
    "oom_killed",
    "readiness_probe_incorrect_port",
    "service_selector_mismatch",
    "pvc_access_mode_mismatch",
    "namespace_pod_quota_exceeded",
    "kubelet_unavailable",
)


@pytest.mark.shared
@pytest.mark.service
@pytest.mark.skipif(not FOUND, reason="no kubectl of 1.30 or newer is here: scripts/tools")
@pytest.mark.timeout(120)
def test_eight_recorded_faults_look_as_on_the_real_cluster(shared_data: Callable[[str], Path]) -> None:
    wanted = [
        case
        for case in likeness_situations.cases(shared_data("kubectl-recordings"))
        if case.fault in FAULTS and case.number == "1"
    ]
    assert sorted(case.fault for case in wanted) == sorted(FAULTS)
    total = likeness_report.Comparison()
    for case in wanted:
        total.merge(asyncio.run(likeness.compare(case, FOUND[0].path)))
    assert total.reasons.both.total() > 70
    assert not likeness_report.missed(total)
    assert total.rows.recall > 0.95
    assert total.states.recall > 0.90


def test_totals_that_are_too_low_are_told() -> None:
    total = likeness_report.Comparison()
    total.reasons.add(["a", "b"], ["a"])
    total.shapes.add(["a"], ["a", "b"])
    assert [line.partition(":")[0] for line in likeness_report.missed(total)] == [
        "reasons found",
        "messages right",
    ]


def test_a_difference_is_explained_by_the_note_of_its_fault_and_line() -> None:
    notes = likeness_report.read_notes()
    result = likeness_report.Comparison()
    result.rows.add(["pods web: 0/1 ImagePullBackOff 0", "pods web: 0/1 Evicted 0"], [])
    found = likeness_report.differences_of({"incorrect_image_reference": result})
    explained = likeness_report.explain(found, notes)
    assert [item.text for item in explained.pop(None)] == ["pods web: 0/1 Evicted 0"]
    (note,) = explained
    assert note is not None
    assert note.why == "noise"


def test_every_note_tells_why_in_one_of_three_words() -> None:
    notes = likeness_report.read_notes()
    assert {note.why for note in notes} <= {"defect", "unknowable", "noise"}
    assert all(len(note.note) > 40 for note in notes)


def test_events_older_than_an_experiment_can_be_left_out() -> None:
    from likeness_text import described_events, listed_events

    listed = "2m   Normal   Pulled   pod/web-5f6d8c9b7-x2x4x   Container image present\n"
    listed += "50m   Normal   Starting   node/worker-01   \n"
    assert [item.reason for item in listed_events(listed, 600)] == ["Pulled"]
    described = "Name: web\nEvents:\n  Normal  Pulled  40m (x2 over 50m)  kubelet  Container image present\n"
    assert not list(described_events("pods", "web", described, 600))
    assert len(list(described_events("pods", "web", described))) == 1
