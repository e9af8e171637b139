"""Episodes of compliance from the command's point of view, and what is taken in at their end."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path

import pytest

from firedrill.agents.registry import AgentRequest
from firedrill.core.artefacts import LARGEST, read_artefacts, write_artefacts
from firedrill.core.errors import InputError
from firedrill.records import RunFolder
from firedrill.runner import run, score
from firedrill.runner.compliance.handing import unpacked
from firedrill.suites import open_suite

AGENTS = ("oracle", "null", "exploit:constant-false", "exploit:overfit", "exploit:mender")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    place = tmp_path_factory.mktemp("run") / "it"
    agents = [AgentRequest(name) for name in AGENTS]
    asyncio.run(run(open_suite("ciso-core"), agents, scenarios=["kg-01"], out=place))
    return RunFolder(place)


def metrics(folder: RunFolder, agent: str) -> dict[str, float | None]:
    for record, grade in folder.results():
        if record.agent.startswith(agent):
            assert grade is not None
            return {**grade.metrics, "score": grade.score}
    raise AssertionError(agent)


def test_the_oracle_passes_all_stages(played: RunFolder) -> None:
    found = metrics(played, "oracle")
    assert [found[name] for name in ("iec", "ipa", "ce", "sap", "pass", "score")] == [1.0] * 6
    assert found["balanced"] == 1.0


@pytest.mark.parametrize("agent", ["null", "exploit-constant-false", "exploit-overfit", "exploit-mender"])
def test_nobody_else_does(played: RunFolder, agent: str) -> None:
    found = metrics(played, agent)
    assert found["score"] == 0.0
    assert (found["balanced"] or 0.0) < 0.05


def test_what_the_original_check_takes_for_right_is_shown_beside(played: RunFolder) -> None:
    """A policy that fails everything, and one that names the broken object, satisfy it."""
    assert metrics(played, "exploit-constant-false")["itbench_pass"] == 1.0
    assert metrics(played, "exploit-overfit")["itbench_pass"] == 1.0


def test_who_tries_to_mend_is_refused_and_told(played: RunFolder) -> None:
    found = metrics(played, "exploit-mender")
    assert (found["conduct_flaws"], found["harm_items"]) == (1.0, 0.0)


def test_grades_are_computed_again_from_the_folder(played: RunFolder) -> None:
    assert score(played.path, write=False).changed == ()


def test_artefacts_are_read_as_they_are_written() -> None:
    files = {"policy.rego": "package check\n", "fetcher.sh": "#!/bin/sh\n"}
    assert read_artefacts(write_artefacts(files)) == files
    assert read_artefacts("nonsense") == read_artefacts(None) == {}
    assert read_artefacts(write_artefacts({"../etc/passwd": "x", "policy.rego": "x" * (LARGEST + 1)})) == {}


def test_a_tar_gives_plain_files_at_its_top_only() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name in ("./policy.rego", "deep/fetcher.sh", "../playbook.yml", "notes.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = 2
            archive.addfile(entry, io.BytesIO(b"ok"))
        link = tarfile.TarInfo("fetch.sh")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert unpacked(raw.getvalue()) == {"policy.rego": "ok"}
    assert unpacked(b"no tar") == {}


def test_suites_of_compliance_have_one_version() -> None:
    with pytest.raises(InputError, match="comes in version"):
        open_suite("ciso-core@99")
    assert Path(open_suite("ciso-core").root).is_dir()
