"""Logs of containers: the same for every reader, also of pods that are gone, also where speakers add lines."""

from functools import cache

from firedrill.world.build import make_world
from firedrill.world.kube import kubelet
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.kubelet import history, lines
from firedrill.world.kube.kubelet.history import Record
from firedrill.world.world import World

MS = lines.MS


@cache
def _world() -> World:
    world = make_world(7, nodes=2)
    client = Client(world)
    client.create(_pod("talk"))
    client.create(_pod("crash", "echo one; sleep 3; echo two; exit 3"))
    world.run_for(90_000)
    return world


def _pod(name: str, script: str = "while true; do echo tick; sleep 2; done") -> dict[str, object]:
    container = {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"containers": [container]},
    }


def _record(world: World, pod: str) -> Record:
    return next(found for found in history.runs(world).records.values() if found.pod == pod)


def test_runs_of_every_attempt_are_kept() -> None:
    attempts = [found.run for found in history.runs(_world()).records.values() if found.pod == "crash"]
    assert len(attempts) >= 3
    assert [run.attempt for run in attempts] == list(range(len(attempts)))
    assert all(run.finished > run.started for run in attempts[:-1])
    for found in history.runs(_world()).records.values():
        told = [text for _, text in lines.lines_of(_world(), found, 0, 1 << 62)]
        if found.pod == "crash" and found.run.finished >= 0:
            assert told == ["one", "two"]


def test_windows_add_up_to_the_whole() -> None:
    record = _record(_world(), "talk")
    begin, end = record.run.started * MS, (_world().now + 1) * MS
    whole = lines.lines_of(_world(), record, begin, end)
    assert len(whole) > 15
    step = 1_234_567_891
    parts = [lines.lines_of(_world(), record, low, min(low + step, end)) for low in range(begin, end, step)]
    assert [line for part in parts for line in part] == whole
    assert lines.last_lines(_world(), record, 5) == whole[-5:]
    assert lines.last_lines(_world(), record, 10_000) == whole
    assert kubelet.read_log(_world(), "default", "talk", "c") == [text for _, text in whole]
    stamped = kubelet.read_log(_world(), "default", "talk", "c", timestamps=True, tail=1)[0]
    assert len(stamped.split()[0]) == len("2026-01-05T09:00:00.123456789Z")


def test_deleted_pods_leave_their_lines() -> None:
    world = _world().fork()
    Client(world).delete("pods", "default", "talk")
    world.run_for(60_000)
    assert world.cluster.store.get("pods", "default", "talk") is None
    record = _record(world, "talk")
    assert record.run.finished > 0
    assert dict(record.labels) == {"app": "talk"}
    told = lines.lines_of(world, record, 0, 1 << 62)
    assert len(told) > 15
    assert max(at for at, _ in told) <= (record.run.finished + 1) * MS
    assert _record(_world(), "talk").run.finished < 0


def test_speakers_are_heard_by_everybody() -> None:
    def speaker(world: World, record: Record, start: int, end: int) -> list[tuple[int, str]]:
        at = record.run.started * MS + 5_000 * MS
        return [(at, f"spoken in {record.pod}")] if record.pod == "talk" and start <= at < end else []

    lines.on_lines("test", speaker)
    try:
        assert "spoken in talk" in kubelet.read_log(_world(), "default", "talk", "c")
        assert "spoken in talk" not in kubelet.read_log(_world(), "default", "crash", "c", previous=True)
        told = lines.lines_of(_world(), _record(_world(), "talk"), 0, 1 << 62)
        assert (told[0][0], "spoken in talk") < told[-1]
        assert sorted(told, key=lambda line: line[0]) == told
    finally:
        lines.on_lines("test", lambda *_: ())


def test_the_oldest_runs_are_forgotten() -> None:
    part = history.Runs()
    record = _record(_world(), "talk")
    for number in range(20_500):
        part.put(record._replace(uid=str(number)))
    assert len(part.records) <= 20_000
    assert ("20499", "c", record.run.attempt) in part.records
    assert ("0", "c", record.run.attempt) not in part.records


def test_forks_have_histories_of_their_own() -> None:
    world = _world().fork()
    before = len(history.runs(_world()).records)
    world.run_for(300_000)
    assert len(history.runs(world).records) > before
    assert len(history.runs(_world()).records) == before
