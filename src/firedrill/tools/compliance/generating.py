"""Tools that have an artefact written: what a model writes is checked, and goes back."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from pydantic import Field

from firedrill.tools.base import Answer, Paged
from firedrill.tools.compliance.base import HOSTS, KYVERNO, SCRIPTS, ComplianceTool, lines
from firedrill.tools.compliance.bench import EVIDENCE, Bench
from firedrill.tools.compliance.linting import lint
from firedrill.tools.errors import Mistake

TRIES = 3
"""How often a model writes one artefact, at most."""
_SAMPLE = 6_000
"""Characters of the input that are shown to who writes a policy for it."""
_FENCE = re.compile(r"^```[^\n`]*\n(.*?)^```", re.DOTALL | re.MULTILINE)

_SENTENCE = Field(
    min_length=1,
    max_length=20_000,
    description="What is wanted, in words: what complies and what does not, on which kinds, in which fields.",
)


class KyvernoParams(Paged):
    """Parameters of ``GenerateKyverno``."""

    sentence: str = _SENTENCE
    policy_file: str = Field(min_length=1, max_length=300, description="Where it is written, as policy.yaml.")
    current_policy_file: str | None = Field(
        None, max_length=300, description="A policy that is to be changed instead of written anew."
    )


class RegoParams(Paged):
    """Parameters of ``GenerateOPARego``."""

    sentence: str = _SENTENCE
    policy_file: str = Field(min_length=1, max_length=300, description="Where it is written, as policy.rego.")
    input_file: str | None = Field(
        None, max_length=300, description="Collected data as the policy will read them, to show their form."
    )


class PlaybookParams(Paged):
    """Parameters of ``GeneratePlaybook``."""

    sentence: str = _SENTENCE
    playbook_file: str = Field(
        min_length=1, max_length=300, description="Where it is written, as playbook.yml."
    )


@cache
def instruction(name: str) -> str:
    """What a model is told that writes artefacts of a sort."""
    return resources.files("firedrill.tools.compliance").joinpath("data", f"{name}.md").read_text("utf-8")


async def generate_kyverno(bench: Bench, params: KyvernoParams) -> Answer:
    """Have a policy written, or changed.

    Raises:
        Mistake: nobody writes here, or a file cannot be used.
    """
    text = f"# What is wanted\n\n{params.sentence}"
    if params.current_policy_file:
        current = await bench.read(params.current_policy_file)
        text += f"\n\n# The policy as it is, to be changed\n\n```yaml\n{current}\n```"
    return await _written(bench, "generate-kyverno", text, params.policy_file, (".yaml", ".yml"))


async def generate_rego(bench: Bench, params: RegoParams) -> Answer:
    """Have a policy in Rego written.

    Raises:
        Mistake: nobody writes here, or a file cannot be used.
    """
    text = f"# What is wanted\n\n{params.sentence}"
    if params.input_file:
        data = await bench.read(params.input_file, EVIDENCE)
        cut = "" if len(data) <= _SAMPLE else f"\n(the first {_SAMPLE} of {len(data)} characters)"
        text += f"\n\n# An input, as it was collected{cut}\n\n```json\n{data[:_SAMPLE]}\n```"
    return await _written(bench, "generate-rego", text, params.policy_file, (".rego",))


async def generate_playbook(bench: Bench, params: PlaybookParams) -> Answer:
    """Have a playbook written.

    Raises:
        Mistake: nobody writes here, or the file cannot be used.
    """
    text = f"# What is wanted\n\n{params.sentence}"
    return await _written(bench, "generate-playbook", text, params.playbook_file, (".yml", ".yaml"))


async def _written(bench: Bench, name: str, text: str, file: str, endings: tuple[str, ...]) -> Answer:
    if bench.writer is None:
        raise Mistake("no model writes here: write the file yourself")
    if not file.endswith(endings):
        raise Mistake(f"{file[:80]!r} has to end with {' or '.join(endings)}")
    bench.path(file)
    problems: list[str] = []
    question, tries = text, 0
    while tries < TRIES:
        tries += 1
        written = unfenced(await bench.writer.ask(instruction(name), question, name))
        if not written:
            problems = ["the model wrote nothing"]
            continue
        await bench.write(file, written)
        problems, _ = await lint(bench, file)
        if not problems:
            break
        listed = "\n".join(f"- {problem}" for problem in problems)
        question = (
            f"{text}\n\n# What you wrote before\n\n```\n{written}\n```\n\n"
            f"# What is wrong with it\n\n{listed}\n\nWrite it again, whole, without these mistakes."
        )
    notes = (f"written in {tries} tries",) if tries > 1 else ()
    if problems:
        told = "\n".join(problems)
        raise Mistake(
            f"after {tries} tries it would still be refused (the last one stands in {file}):\n{told}"
        )
    held = f"{file} is well formed; whether it is right is yet to be tried"
    return lines(await bench.read(file), held, *notes)


def unfenced(text: str) -> str:
    """The artefact in what a model wrote: the longest block between fences, or all of it."""
    blocks = _FENCE.findall(text)
    found = max(blocks, key=len) if blocks else text
    return f"{found.strip()}\n" if found.strip() else ""


GENERATE_KYVERNO = ComplianceTool(
    "GenerateKyverno",
    "Have a policy of Kyverno written from a sentence, or a current one changed, into a file of the working"
    " folder. It is checked as admission would, and written again where it would be refused; it is not"
    " deployed.",
    KyvernoParams,
    generate_kyverno,
    KYVERNO,
)
GENERATE_REGO = ComplianceTool(
    "GenerateOPARego",
    "Have a policy in Rego (package check, rule result) written from a sentence, for data of the form of"
    " input_file. It is compiled, and written again where it does not compile.",
    RegoParams,
    generate_rego,
    SCRIPTS | HOSTS,
)
GENERATE_PLAYBOOK = ComplianceTool(
    "GeneratePlaybook",
    "Have an Ansible playbook written from a sentence, that collects evidence into collected_data.json and"
    " changes nothing. Its syntax is checked, and it is written again where it is wrong.",
    PlaybookParams,
    generate_playbook,
    HOSTS,
)
