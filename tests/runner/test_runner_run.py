"""Runs: what is planned, stopped, taken up again, and what is refused."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firedrill.agents import AgentRequest
from firedrill.agents.base import AgentResult, Episode
from firedrill.core.digest import digest_of
from firedrill.core.episode import EpisodeRecord, Limits
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.grade import Grade
from firedrill.core.outcome import Outcome
from firedrill.records import RunFolder, verify
from firedrill.records.files import json_bytes, read_json
from firedrill.records.manifest import manifest_bytes, with_digests
from firedrill.runner import Settings, Workshop, resume, run, score, summary
from firedrill.runner.attempt import conclude, grade_answer
from firedrill.runner.settings import Worlds
from firedrill.sandbox import SandboxSpec

BUILT_IN = [AgentRequest("null"), AgentRequest("oracle"), AgentRequest("shotgun")]


class Watch:
    """Remembers what a run says of itself."""

    def __init__(self) -> None:
        self.planned = self.done = 0
        self.ended: list[str] = []
        self.notes: list[str] = []

    def started(self, planned: Mapping[str, int], done: Mapping[str, int]) -> None:
        self.planned, self.done = sum(planned.values()), sum(done.values())

    def finished(self, record: EpisodeRecord, grade: Grade | None) -> None:
        self.ended.append(record.key.folder)

    def note(self, text: str) -> None:
        self.notes.append(text)


async def test_built_in_agents_score_what_the_formula_says(kit: Any, shop: Any, tmp_path: Path) -> None:
    watch = Watch()
    result = await run(
        kit.suite(tmp_path), BUILT_IN, repeats=2, out=tmp_path / "run", workshop=shop.workshop, progress=watch
    )
    assert result.manifest.complete
    assert watch.planned == 18
    assert len(set(watch.ended)) == 18
    assert sorted(shop.staged) == ["Scenario-1", "Scenario-2", "Scenario-3"]
    document = summary(RunFolder(result.path))
    scores = {entry["agent"].split("-")[0]: entry["score"]["mean"] for entry in document["agents"]}
    assert scores["oracle"] == 1.0
    assert scores["null"] == 0.0
    # it names the node, the deployment, the pod and the service: one true, two false positives
    assert scores["shotgun"] == pytest.approx(1 / 3, abs=1e-6)
    assert document["suite"]["name"] == "tiny"
    assert document["run"] == str(result.path)
    json.dumps(document, allow_nan=False)
    assert verify(result.path).ok


async def test_same_seed_same_digest(kit: Any, shop: Any, tmp_path: Path) -> None:
    suite = kit.suite(tmp_path)
    digests = set()
    for name, concurrency in (("a", 1), ("b", 7)):
        result = await run(
            suite,
            BUILT_IN,
            repeats=2,
            seed=3,
            out=tmp_path / name,
            concurrency=concurrency,
            workshop=shop.workshop,
        )
        digests.add(result.manifest.digests.run)
    other = await run(suite, BUILT_IN, repeats=2, seed=4, out=tmp_path / "c", workshop=shop.workshop)
    assert len(digests) == 1
    assert other.manifest.digests.run not in digests


async def test_seeds_are_shared_by_agents_and_differ_by_scenario_and_repeat(
    kit: Any, shop: Any, tmp_path: Path
) -> None:
    result = await run(kit.suite(tmp_path), BUILT_IN, repeats=2, out=tmp_path / "run", workshop=shop.workshop)
    seeds: dict[tuple[str, int], set[int]] = {}
    for record in RunFolder(result.path).episodes():
        seeds.setdefault((record.scenario, record.repeat), set()).add(record.seed)
    assert all(len(found) == 1 for found in seeds.values())
    assert len(set.union(*seeds.values())) == 6


async def test_no_more_episodes_at_once_than_asked(kit: Any, shop: Any, tmp_path: Path) -> None:
    now = most = 0
    full = asyncio.Event()

    async def work(_: Episode) -> AgentResult:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == 4:
            full.set()
        await asyncio.wait_for(full.wait(), 60)
        await asyncio.sleep(0.01)
        now -= 1
        return AgentResult(Outcome.NO_SUBMISSION)

    suite = kit.suite(tmp_path, 5)
    await run(suite, [kit.script(work)], repeats=3, concurrency=4, out=tmp_path / "r", workshop=shop.workshop)
    assert most == 4


async def test_scenarios_can_be_chosen(kit: Any, shop: Any, tmp_path: Path) -> None:
    suite = kit.suite(tmp_path, 5)
    result = await run(
        suite,
        BUILT_IN[:1],
        scenarios=["scenario-4", "Scenario-2", "5"],
        limit=2,
        out=tmp_path / "r",
        workshop=shop.workshop,
    )
    assert result.manifest.plan.scenarios == ("Scenario-2", "Scenario-4")


async def test_caps_that_were_asked_for_go_before_the_scenarios_own(
    kit: Any, shop: Any, tmp_path: Path
) -> None:
    seen: list[Limits] = []

    async def look(episode: Episode) -> AgentResult:
        seen.append(episode.limits)
        return AgentResult(Outcome.NO_SUBMISSION)

    suite = kit.suite(tmp_path, 1)
    item = suite.scenarios[0]
    tight = item.scenario.model_copy(update={"limits": item.scenario.limits.model_copy(update={"turns": 9})})
    suite = replace(suite, scenarios=(replace(item, scenario=tight),))
    for name, limits in (("a", None), ("b", Limits(minutes=None)), ("c", Limits(turns=500, cost=1.5))):
        await run(suite, [kit.script(look)], limits=limits, out=tmp_path / name, workshop=shop.workshop)
    assert seen == [
        Limits(turns=9, minutes=60, cost=None),
        Limits(turns=9, minutes=None, cost=None),
        Limits(turns=500, minutes=60, cost=1.5),
    ]


class TestRefusals:
    async def refused(self, kit: Any, shop: Any, tmp_path: Path, words: str, **changes: Any) -> None:
        arguments: dict[str, Any] = {"out": tmp_path / "run", "workshop": shop.workshop, **changes}
        suite = arguments.pop("suite", None) or kit.suite(tmp_path)
        agents = arguments.pop("agents", BUILT_IN)
        with pytest.raises((InputError, InfrastructureError), match=words):
            await run(suite, agents, **arguments)
        assert not (tmp_path / "run").exists()

    async def test_unknown_scenario(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        await self.refused(kit, shop, tmp_path, "no scenario 'Scenario-9'", scenarios=["Scenario-9"])

    async def test_nothing_to_run(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        await self.refused(kit, shop, tmp_path, "no scenario to run", limit=0)

    async def test_no_agent(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        await self.refused(kit, shop, tmp_path, "no agent", agents=[])

    async def test_one_agent_twice(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        await self.refused(
            kit, shop, tmp_path, "same configuration", agents=[*BUILT_IN, AgentRequest("null")]
        )

    async def test_a_broken_truth(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        await self.refused(kit, shop, tmp_path, "ground_truth.yaml", suite=kit.suite(tmp_path, truth="- ["))

    async def test_an_unknown_sandbox(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        workshop = replace(shop.workshop, open_workspace=None)
        await self.refused(
            kit, shop, tmp_path, "no kind of sandbox", workshop=workshop, sandbox=SandboxSpec(kind="jail")
        )

    async def test_a_sandbox_that_does_not_work_here(
        self, kit: Any, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def none_here(view: Any, spec: Any) -> Any:
            raise InfrastructureError("bubblewrap is not installed")

        monkeypatch.setattr("firedrill.sandbox.opening.open_workspace", none_here)
        workshop = replace(shop.workshop, open_workspace=None)
        agents = [kit.script(kit.right)]
        await self.refused(kit, shop, tmp_path, "bubblewrap", workshop=workshop, agents=agents)

    async def test_a_used_folder(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "thesis").write_text("x")
        with pytest.raises(InputError, match="not empty"):
            await run(kit.suite(tmp_path), BUILT_IN, out=tmp_path / "kept", workshop=shop.workshop)


async def test_agents_without_commands_need_no_sandbox(
    kit: Any, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here(view: Any, spec: Any) -> Any:
        raise AssertionError("no sandbox was needed")

    monkeypatch.setattr("firedrill.sandbox.opening.open_workspace", none_here)
    workshop = Workshop(prepare=shop.workshop.prepare)
    result = await run(kit.suite(tmp_path), BUILT_IN, out=tmp_path / "run", workshop=workshop)
    assert result.manifest.complete
    assert {record.sandbox["kind"] for record in RunFolder(result.path).episodes()} == {"unused"}


async def test_without_a_name_the_next_free_folder_is_taken(
    kit: Any, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [(await run(kit.suite(tmp_path, 1), BUILT_IN[:1], workshop=shop.workshop)).path for _ in range(2)]
    assert [str(path) for path in paths] == ["runs/tiny-001", "runs/tiny-002"]


class TestStopping:
    async def test_a_run_that_a_person_approved_is_not_resumed(
        self, kit: Any, shop: Any, tmp_path: Path
    ) -> None:
        async def put(_: str) -> str:
            return "y"

        suite, agent, stop = kit.suite(tmp_path, 2), kit.script(kit.right), asyncio.Event()
        stop.set()
        settings = Settings(worlds=Worlds(put=put, ledger=True))
        cut = await run(
            suite, [agent], out=tmp_path / "cut", workshop=shop.workshop, stop=stop, settings=settings
        )
        assert cut.manifest.plan.worlds == {"ledger": "full", "approver": "terminal"}
        with pytest.raises(InputError, match="approved at a terminal"):
            await resume(cut.path, suite=suite, agents=[agent], workshop=shop.workshop)

    async def test_a_stopped_run_keeps_what_ended_and_is_finished_by_resume(
        self, kit: Any, shop: Any, tmp_path: Path
    ) -> None:
        suite = kit.suite(tmp_path, 4)
        whole = await run(
            suite, [kit.script(kit.right)], repeats=2, out=tmp_path / "whole", workshop=shop.workshop
        )
        stop = asyncio.Event()
        begun = 0

        async def work(episode: Episode) -> AgentResult:
            nonlocal begun
            begun += 1
            if begun == 4:
                stop.set()
                await asyncio.sleep(60)
            return AgentResult(Outcome.SUBMITTED, kit.answer)

        agent = kit.script(work)
        cut = await run(
            suite, [agent], repeats=2, concurrency=2, out=tmp_path / "cut", workshop=shop.workshop, stop=stop
        )
        assert cut.interrupted
        assert 3 <= cut.manifest.counts["done"] < 8
        assert not cut.manifest.complete
        assert verify(cut.path).ok
        assert all(workspace.closed for workspace in shop.opened)
        watch = Watch()
        begun = -100
        resumed = await resume(cut.path, suite=suite, agents=[agent], workshop=shop.workshop, progress=watch)
        assert watch.done == cut.manifest.counts["done"]
        assert len(watch.ended) == 8 - watch.done
        assert not resumed.interrupted
        assert resumed.manifest.complete
        assert resumed.manifest.digests.run == whole.manifest.digests.run
        assert len(resumed.manifest.timing["sessions"]) == 2

    async def test_an_episode_that_has_ended_is_kept_even_while_stopping(
        self, kit: Any, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        real = conclude

        def slow(*args: Any) -> Any:
            loop.call_soon_threadsafe(stop.set)
            threading.Event().wait(0.2)
            return real(*args)

        monkeypatch.setattr("firedrill.runner.campaign.conclude", slow)
        watch = Watch()
        result = await run(
            kit.suite(tmp_path, 3),
            [kit.script(kit.right)],
            concurrency=1,
            out=tmp_path / "run",
            workshop=shop.workshop,
            stop=stop,
            progress=watch,
        )
        assert result.manifest.counts["done"] == 1
        assert len(watch.ended) == 1
        assert verify(result.path).ok

    async def test_a_disk_that_fails_ends_the_run(
        self, kit: Any, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("firedrill.records.RunWriter.commit", full)
        with pytest.raises(OSError, match="No space"):
            await run(kit.suite(tmp_path), BUILT_IN, out=tmp_path / "run", workshop=shop.workshop)
        assert RunFolder(tmp_path / "run").manifest.counts["done"] == 0


class TestResume:
    @pytest.fixture
    async def cut(self, kit: Any, shop: Any, tmp_path: Path) -> Path:
        """A run of null and oracle that was stopped before its first episode."""
        stop = asyncio.Event()
        stop.set()
        result = await run(
            kit.suite(tmp_path), BUILT_IN[:2], out=tmp_path / "run", workshop=shop.workshop, stop=stop
        )
        assert result.interrupted
        return result.path

    async def test_a_whole_run_is_left_alone(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        result = await run(kit.suite(tmp_path), BUILT_IN, out=tmp_path / "run", workshop=shop.workshop)
        data = (result.path / "run.json").read_bytes()
        again = await resume(result.path)
        assert again.manifest.complete
        assert (result.path / "run.json").read_bytes() == data

    async def test_agents_are_made_again_from_the_record(self, kit: Any, shop: Any, cut: Path) -> None:
        result = await resume(cut, suite=kit.suite(cut.parent), workshop=shop.workshop)
        assert result.manifest.complete
        assert result.manifest.counts["done"] == 6

    async def test_a_suite_that_changed_is_refused(self, kit: Any, shop: Any, cut: Path) -> None:
        suite = kit.suite(cut.parent)
        first, *rest = suite.scenarios
        for changes, words in (
            ({"truth_digest": digest_of("other")}, "truth of Scenario-1 has changed"),
            ({"digest": digest_of("other")}, "evidence of Scenario-1 has changed"),
            ({"id": "Scenario-9"}, "no scenario Scenario-1 any more"),
        ):
            other = replace(suite, scenarios=(replace(first, **changes), *rest))
            with pytest.raises(InputError, match=words):
                await resume(cut, suite=other, workshop=shop.workshop)

    async def test_an_agent_that_changed_is_refused(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        stop = asyncio.Event()
        stop.set()
        suite = kit.suite(tmp_path)
        agent = kit.script(kit.right, temperature=0)
        cut = await run(suite, [agent], out=tmp_path / "run", workshop=shop.workshop, stop=stop)
        with pytest.raises(InputError, match="cannot be made"):
            await resume(cut.path, suite=suite, workshop=shop.workshop)
        other = kit.script(kit.right, temperature=1)
        with pytest.raises(InputError, match="differs in temperature"):
            await resume(cut.path, suite=suite, agents=[other], workshop=shop.workshop)
        with pytest.raises(InputError, match="expected 1 agents"):
            await resume(cut.path, suite=suite, agents=[agent, other], workshop=shop.workshop)

    @pytest.mark.parametrize("name", ["firedrill", "scorer", "tool_root"])
    async def test_another_version_is_refused(self, kit: Any, shop: Any, cut: Path, name: str) -> None:
        manifest = RunFolder(cut).manifest
        changed = manifest.model_copy(update={"versions": {**manifest.versions, name: "old"}})
        (cut / "run.json").write_bytes(manifest_bytes(with_digests(changed)))
        with pytest.raises(InputError, match=f"started with {name} old"):
            await resume(cut, suite=kit.suite(cut.parent), workshop=shop.workshop)

    async def test_another_python_is_noted(self, kit: Any, shop: Any, cut: Path) -> None:
        manifest = RunFolder(cut).manifest
        changed = manifest.model_copy(update={"versions": {**manifest.versions, "python": "3.0"}})
        (cut / "run.json").write_bytes(manifest_bytes(with_digests(changed)))
        watch = Watch()
        await resume(cut, suite=kit.suite(cut.parent), workshop=shop.workshop, progress=watch)
        assert "Python 3.0" in watch.notes[0]

    @pytest.mark.parametrize("damage", [{"kind": 3}, {"limits": {"wings": 2}, "kind": "none"}])
    async def test_a_damaged_plan_is_refused(
        self, kit: Any, shop: Any, cut: Path, damage: dict[str, Any]
    ) -> None:
        document = read_json(cut / "run.json")
        document["plan"]["sandbox"] = damage
        (cut / "run.json").write_bytes(json_bytes(document, pretty=True))
        with pytest.raises(InputError, match="sandbox"):
            await resume(cut, suite=kit.suite(cut.parent), workshop=shop.workshop)

    async def test_failures_of_ours_are_carried_out_again(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        suite = kit.suite(tmp_path)
        whole = await run(suite, BUILT_IN, out=tmp_path / "whole", workshop=shop.workshop)

        def fail(scenario: str) -> None:
            if scenario == "Scenario-2":
                raise OSError("the disk was away")

        shop.fail = fail
        lame = await run(
            suite, BUILT_IN, out=tmp_path / "lame", workshop=shop.workshop, settings=Settings(retry_seconds=0)
        )
        assert lame.manifest.counts["infrastructure_error"] == 3
        assert not lame.manifest.complete
        shop.fail = lambda scenario: None
        again = await resume(lame.path, suite=suite, workshop=shop.workshop)
        assert again.manifest.digests.run == whole.manifest.digests.run


class TestScore:
    async def test_grades_are_recomputed_from_the_folder_alone(
        self, kit: Any, shop: Any, tmp_path: Path
    ) -> None:
        result = await run(kit.suite(tmp_path), BUILT_IN, out=tmp_path / "run", workshop=shop.workshop)
        before = (result.path / "run.json").read_bytes()
        again = score(result.path)
        assert again.changed == ()
        assert again.episodes == 9
        assert (result.path / "run.json").read_bytes() == before

    async def test_a_newer_scorer_replaces_the_grades(
        self, kit: Any, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = await run(kit.suite(tmp_path), BUILT_IN, out=tmp_path / "run", workshop=shop.workshop)
        real = grade_answer
        monkeypatch.setattr(
            "firedrill.runner.scoring.grade_answer",
            lambda *args: real(*args).model_copy(update={"score": 0.25}),
        )
        looked = score(result.path, write=False)
        assert len(looked.changed) == 9
        assert verify(result.path, expect=result.manifest.digests.run).ok
        score(result.path)
        after = verify(result.path)
        assert after.ok
        assert after.records_digest == result.manifest.digests.records
        board = summary(RunFolder(result.path))
        assert {entry["score"]["mean"] for entry in board["agents"]} == {0.25}
        monkeypatch.undo()
        assert len(score(result.path).changed) == 9
        assert len(RunFolder(result.path).manifest.rescorings) == 2

    async def test_a_damaged_grade_is_mended(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        result = await run(kit.suite(tmp_path), BUILT_IN, out=tmp_path / "run", workshop=shop.workshop)
        grade = next(result.path.rglob("grade.json"))
        grade.write_bytes(b"{}")
        assert not verify(result.path).ok
        assert len(score(result.path).changed) == 1
        assert verify(result.path).ok

    @pytest.mark.parametrize("name", ["submission.json", "truth.yaml", "inventory.json"])
    async def test_edited_records_are_not_graded(
        self, kit: Any, shop: Any, tmp_path: Path, name: str
    ) -> None:
        result = await run(kit.suite(tmp_path), BUILT_IN, out=tmp_path / "run", workshop=shop.workshop)
        path = next(result.path.rglob(name))
        path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(InputError, match="edited or removed"):
            score(result.path)

    async def test_an_added_submission_is_not_graded(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        result = await run(kit.suite(tmp_path), BUILT_IN[:1], out=tmp_path / "run", workshop=shop.workshop)
        folder = next(result.path.rglob("episode.json")).parent
        (folder / "submission.json").write_bytes(json_bytes({"text": kit.answer}))
        with pytest.raises(InputError, match="edited or removed"):
            score(result.path)

    async def test_an_edited_outcome_is_not_graded(self, kit: Any, shop: Any, tmp_path: Path) -> None:
        result = await run(kit.suite(tmp_path), BUILT_IN[:1], out=tmp_path / "run", workshop=shop.workshop)
        path = next(result.path.rglob("episode.json"))
        path.write_bytes(path.read_bytes().replace(b"no_submission", b"submitted"))
        with pytest.raises(InputError, match="edited or removed"):
            score(result.path)
