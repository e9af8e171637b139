"""Policy files: what is wrong with them is told with file, field and mend; what they say is what holds."""

from __future__ import annotations

import asyncio
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.core.errors import InputError
from firedrill.gateway.kubernetes import Asked, Decision
from firedrill.tools.authority import (
    EFFECTS,
    Authority,
    Policy,
    approver_of,
    at_terminal,
    effects_of,
    located,
    meaning,
    open_policy,
    parse,
    preset,
    presets,
    schema_text,
)
from firedrill.tools.authority.approvers import read_answer
from firedrill.tools.authority.model import ApproverSpec, Rule
from firedrill.tools.authority.telling import ASKED, DENIED

SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "authority.schema.json"
HEAD = "apiVersion: firedrill/v1\nkind: Authority\nmetadata: {name: mine}\n"


def asked(verb: str = "patch", resource: str = "deployments.apps", **more: Any) -> Asked:
    given: dict[str, Any] = {"user": "agent", "namespace": "shop", "name": "web", "count": 1, **more}
    return Asked(verb=verb, resource=resource, **given)


def decided(text: str, what: Asked) -> Decision:
    return asyncio.run(Authority(parse(HEAD + text, "mine.yaml")).decide(what))


def deployment(replicas: int, **meta: Any) -> dict[str, Any]:
    spec = {"replicas": replicas, "template": {"spec": {"containers": [{"name": "a", "image": "x:1"}]}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", **meta},
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: 3", "mine.yaml: rules: input should be a valid tuple; write a list, as in `[pods]`"),
        ("rulez: []", "mine.yaml: rulez: is no field of a policy; did you mean `rules`?"),
        (
            "rules: [{name: a, effect: alow}]",
            "mine.yaml: rules.0.effect: is 'alow'; did you mean `allow`?",
        ),
        ("rules: [{name: a}]", "mine.yaml: rules.0.effect: is missing; write `effect: …`"),
        (
            "rules: [{name: A b, effect: allow}]",
            "mine.yaml: rules.0.name: 'A b' is no name; use small letters, digits and hyphens",
        ),
        (
            "rules: [{name: a, effect: deny, match: {verb: [get]}}]",
            "mine.yaml: rules.0.match.verb: is no field of a policy; did you mean `verbs`?",
        ),
        (
            "rules: [{name: a, effect: deny, match: {verbs: [detele]}}]",
            "mine.yaml: rules.0.match.verbs.0: there is no verb 'detele'; did you mean `delete`?",
        ),
        (
            "rules: [{name: a, effect: deny, match: {resources: [pods, deployment]}}]",
            "rules.0.match.resources.1: there is no resource 'deployment'; did you mean `deployments`?",
        ),
        (
            "rules: [{name: a, effect: deny, match: {kinds: [Deploymnet]}}]",
            "rules.0.match.kinds.0: there is no kind 'Deploymnet'; did you mean `Deployment`?",
        ),
        (
            "rules: [{name: a, effect: deny, match: {effects: [scale-to-0]}}]",
            "rules.0.match.effects.0: there is no effect 'scale-to-0'; did you mean `scale-to-zero`?",
        ),
        (
            "rules: [{name: a, effect: deny, match: {only: [metadata.name]}}]",
            "rules.0.match.only.0: 'metadata.name' is no JSON pointer; write `/metadata/annotations/*`",
        ),
        (
            "rules: [{name: a, effect: ask}]",
            "rules.0.effect: nobody is named who could be asked; add `approver",
        ),
        ("unmatched: {write: ask}", "unmatched.write: nobody is named who could be asked"),
        (
            "rules: [{name: a, effect: deny}, {name: a, effect: allow}]",
            "rules.1.name: 'a' is also rules.0; give each rule a name of its own",
        ),
        (
            "extends: boss",
            "extends: there is no preset 'boss'; extend autonomous, observer, operator, policy-author or triage",
        ),
        ("approver: {kind: webhook}", "approver.url: a webhook needs an address; write `url: https://…`"),
        (
            "approver: {kind: rules, rules: [{name: a, effect: ask}]}",
            "approver.rules.0.effect: an approver cannot ask in turn; write allow or deny",
        ),
        ("rules: [", "mine.yaml:5: no YAML"),
    ],
)
def test_what_is_wrong_is_told_with_field_and_mend(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(HEAD + text, "mine.yaml")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind: Authority\n", "apiVersion: is missing; write `apiVersion: firedrill/v1`"),
        ("apiVersion: firedrill/v1\nkind: Policy\n", "kind: is 'Policy'; write `kind: Authority`"),
        ("- 1\n", "is no policy: one document with fields is expected"),
        ("", "is no policy"),
    ],
)
def test_a_file_has_to_say_what_it_is(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told.replace("(", r"\(")):
        parse(text, "mine.yaml")


def test_files_and_presets_are_opened_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + "unmatched: {read: allow, write: deny}\n")
    assert open_policy(str(path)).metadata.name == "mine"
    assert open_policy("operator") is preset("operator")
    with pytest.raises(InputError, match="there is no authority 'operater'; use autonomous, observer"):
        open_policy("operater")
    with pytest.raises(InputError, match="cannot be read"):
        open_policy(str(tmp_path / "none.yaml"))
    path.write_bytes(b"#" * 300_000)
    with pytest.raises(InputError, match="larger than 256 KB"):
        open_policy(str(path))


def test_a_scenario_names_a_preset_or_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(HEAD)
    inside = tmp_path / "suite"
    inside.mkdir()
    (inside / "own.yaml").write_text(HEAD)
    assert located("triage", inside) == "triage"
    assert open_policy(located("own.yaml", inside)).metadata.name == "mine"
    for name, told in (
        ("../mine.yaml", "outside of the scenario's folder"),
        ("none.yaml", "there is no authority 'none.yaml'"),
        ("observr", "there is no authority 'observr'"),
    ):
        with pytest.raises(InputError, match=told):
            located(name, inside)


def test_the_published_schema_is_that_of_the_program() -> None:
    if os.environ.get("FIREDRILL_UPDATE"):
        SCHEMA.write_text(schema_text())
    assert SCHEMA.read_text() == schema_text(), "FIREDRILL_UPDATE=1 writes it anew"


def test_presets_are_whole() -> None:
    assert presets() == ("autonomous", "observer", "operator", "policy-author", "triage")
    for name in presets():
        assert preset(name).metadata.name == name
        assert preset(name).metadata.title
    assert all(meaning(effect) for effect in EFFECTS)
    used = {word for name in presets() for rule in preset(name).rules for word in rule.match.effects}
    assert used <= set(EFFECTS)


@settings(max_examples=150, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["rules", "name", "effect", "match", "approver", "kind", "x"]), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_no_file_brings_it_down(found: Any) -> None:
    text = HEAD + yaml.safe_dump({"rules": found, "approver": found})
    try:
        parse(text, "fuzz")
    except InputError as error:
        assert error.source == "fuzz"


def test_what_is_not_said_is_read_only() -> None:
    assert decided("", asked("get")).effect == "allow"
    denied = decided("", asked("patch"))
    assert (denied.effect, denied.rule, denied.reason) == (
        "deny",
        "unsaid",
        "what a policy does not say is read-only",
    )


def test_the_first_rule_that_fits_decides() -> None:
    text = """
rules:
  - {name: not-this, effect: deny, match: {names: [web], verbs: [write]}}
  - {name: rest, effect: allow, match: {resources: ["*.apps"], namespaces: [shop]}}
"""
    assert decided(text, asked()).rule == "not-this"
    assert decided(text, asked(name="other")).rule == "rest"
    assert decided(text, asked(name="other", namespace="bank")).rule == "unsaid"
    assert decided(text, asked(name="x", resource="pods")).rule == "unsaid"


def test_an_allow_of_a_resource_is_none_of_what_reaches_into_it() -> None:
    text = "rules: [{name: pods, effect: allow, match: {resources: [pods]}}]"
    assert decided(text, asked("delete", "pods")).effect == "allow"
    for sub in (
        "exec",
        "attach",
        "portforward",
        "proxy",
        "eviction",
        "ephemeralcontainers",
        "binding",
        "status",
    ):
        assert decided(text, asked("get", "pods", subresource=sub)).effect == (
            "allow" if sub in {"eviction", "ephemeralcontainers", "binding", "status"} else "deny"
        ), sub
        assert decided(text, asked("create", "pods", subresource=sub)).effect == "deny", sub


def test_a_rule_that_forbids_fits_as_soon_as_one_object_does() -> None:
    both = (
        {"metadata": {"name": "a", "namespace": "shop"}},
        {"metadata": {"name": "b", "namespace": "shop"}},
    )
    deny = """
rules:
  - {name: not-b, effect: deny, match: {names: [b]}}
  - {name: rest, effect: allow}
"""
    allow = "rules: [{name: only-a, effect: allow, match: {names: [a], verbs: ['*']}}]"
    many = asked("deletecollection", "pods", name="", count=2, before=both)
    assert decided(deny, many).rule == "not-b"
    assert decided(allow, many).rule == "unsaid"
    assert (
        decided(allow, asked("deletecollection", "pods", name="", count=1, before=both[:1])).rule == "only-a"
    )
    assert decided(deny, asked("list", "pods", name="", count=0)).rule == "not-b"
    assert decided(allow, asked("list", "pods", name="", count=0)).rule == "reads"


@pytest.mark.parametrize(
    ("field", "passes"),
    [("note.firedrill.dev/1", True), ("note.firedrill.dev/a/b", True), ("kubernetes.io/x", False)],
)
def test_only_some_fields(field: str, passes: bool) -> None:
    text = 'rules: [{name: n, effect: allow, match: {only: ["/metadata/annotations/note.firedrill.dev~1*"]}}]'
    after = deployment(1, annotations={field: "x"})
    found = decided(text, asked(before=(deployment(1),), after=after))
    assert (found.effect == "allow") is passes
    more = {**after, "spec": {**after["spec"], "replicas": 2}}
    assert decided(text, asked(before=(deployment(1),), after=more)).effect == "deny"
    assert decided(text, asked("create", after=after)).effect == "deny"


def test_counts_and_dry_runs() -> None:
    text = """
rules:
  - {name: trial, effect: allow, match: {dry_run: true}}
  - {name: few, effect: allow, match: {count: {below: 3}, verbs: [deletecollection]}}
"""
    assert decided(text, asked("delete", dry_run=True)).rule == "trial"
    assert decided(text, asked("deletecollection", count=2, name="")).rule == "few"
    assert decided(text, asked("deletecollection", count=3, name="")).effect == "deny"


def test_a_dry_run_tells_what_would_become_of_the_real_one() -> None:
    taboo = "{name: taboo, effect: deny, reason: never, match: {dry_run: false, verbs: [update]}}"
    text = f"extends: operator\nrules: [{taboo}]"
    gone = asked("delete", before=(deployment(1),), dry_run=True)
    lead = preset("operator").approver
    assert lead is not None
    assert decided(text, gone).warning == f"{ASKED} {lead.name} (rule gone)"
    assert decided(text, replace(gone, verb="update")).warning == f"{DENIED}: never (rule taboo)"
    harmless = asked(before=(deployment(1),), after=deployment(2), dry_run=True)
    assert decided(text, harmless).warning == ""
    assert (
        decided("rules: [{name: all, effect: allow, match: {}}]", replace(gone, dry_run=False)).warning == ""
    )


def test_a_policy_extends_a_preset() -> None:
    text = "extends: operator\nrules: [{name: gone, effect: deny, reason: never, match: {effects: [delete]}}]"
    policy = parse(HEAD + text, "mine.yaml")
    assert policy.rules[0].name == "gone"
    assert [rule.name for rule in policy.rules].count("gone") == 1
    assert policy.approver == preset("operator").approver
    assert decided(text, asked("delete", before=(deployment(1),))).reason == "never"


def test_effects_do_not_depend_on_the_way() -> None:
    down = asked(before=(deployment(2),), after=deployment(0))
    assert "scale-to-zero" in effects_of(down)
    assert "scale-to-zero" not in effects_of(asked(before=(deployment(0),), after=deployment(0)))
    assert not effects_of(asked(before=(deployment(2),), after=deployment(1)))


# --- approvers


ASKS = """
rules: [{name: gone, effect: ask, match: {verbs: [delete]}}]
approver:
"""


def test_a_lead_answers_after_minutes_and_goes_by_his_rules() -> None:
    text = (
        ASKS
        + """
  kind: lead
  name: Robin
  minutes: 3
  rules: [{name: not-web, effect: deny, reason: web stays, match: {names: [web]}}]
"""
    )
    no, yes = decided(text, asked("delete")), decided(text, asked("delete", name="x"))
    assert (no.effect, no.reason, no.waited_ms, no.asked, no.approver) == (
        "deny",
        "web stays",
        180_000,
        True,
        "Robin",
    )
    assert (yes.effect, yes.waited_ms) == ("allow", 180_000)


def test_rules_answer_at_once_and_say_no_where_nothing_speaks_for_it() -> None:
    text = ASKS + "  {kind: rules, rules: [{name: pods, effect: allow, match: {resources: [pods]}}]}"
    assert decided(text, asked("delete", "pods")).effect == "allow"
    no = decided(text, asked("delete"))
    assert (no.effect, no.waited_ms, no.asked) == ("deny", 0, True)


def test_nobody_is_asked_about_what_the_api_refuses_anyway() -> None:
    text = ASKS + "  {kind: lead, minutes: 5}"
    found = decided(text, asked("delete", refusal='pods "x" not found'))
    assert (found.effect, found.asked, found.waited_ms) == ("allow", False, 0)


class Hook:
    """A web server that answers each request with the same bytes, after a while."""

    def __init__(self, answer: bytes, status: str = "200 OK", delay: float = 0.0) -> None:
        self._answer, self._status, self._delay = answer, status, delay
        self.bodies: list[Any] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(
            next(line.split(":")[1] for line in head.splitlines() if line.startswith("content-length"))
        )
        self.bodies.append(json.loads(await reader.readexactly(size)))
        await asyncio.sleep(self._delay)
        writer.write(
            f"HTTP/1.1 {self._status}\r\ncontent-length: {len(self._answer)}\r\n\r\n".encode() + self._answer
        )
        await writer.drain()
        writer.close()


@pytest.mark.parametrize(
    ("hook", "effect", "reason"),
    [
        (Hook(b'{"allow": true}'), "allow", ""),
        (Hook(b'{"allow": false, "reason": "not tonight"}'), "deny", "not tonight"),
        (Hook(b'{"allow": "yes"}'), "deny", "gave no answer that can be read (HTTP 200)"),
        (Hook(b'{"allow": true}', "500 Oops"), "deny", "gave no answer that can be read (HTTP 500)"),
        (Hook(b"<html>"), "deny", "gave no answer that can be read"),
        (Hook(b'{"allow": true}', delay=2), "deny", "did not answer within 0.5 s"),
    ],
)
async def test_a_webhook_decides_within_its_time(hook: Hook, effect: str, reason: str) -> None:
    server = await asyncio.start_server(hook, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seconds = 0.5 if "0.5 s" in reason else 30
    text = f"{HEAD}{ASKS}  {{kind: webhook, url: 'http://127.0.0.1:{port}/', timeout: {seconds}, minutes: 4}}"
    found = await Authority(parse(text, "mine.yaml")).decide(asked("delete"))
    server.close()
    assert found.effect == effect
    assert reason in found.reason
    assert found.waited_ms == 240_000
    if seconds == 30:
        assert hook.bodies[0]["resource"] == "deployments.apps"
        assert hook.bodies[0]["effects"] == ["delete"]


async def test_a_webhook_that_is_not_there_says_no() -> None:
    spec = ApproverSpec(kind="webhook", url="http://127.0.0.1:9/", timeout=1)
    policy = Policy.model_validate({**parse(HEAD, "x").model_dump(), "unmatched": {"write": "ask"}})
    found = await Authority(policy, approver_of(spec)).decide(asked("delete"))
    assert (found.effect, found.asked) == ("deny", True)


@pytest.mark.parametrize(
    ("typed", "effect", "reason"),
    [
        ("yes", "allow", ""),
        ("y go on", "allow", "go on"),
        ("no not now", "deny", "not now"),
        ("", "deny", "person said no"),
    ],
)
async def test_a_person_is_asked_in_words(typed: str, effect: str, reason: str) -> None:
    shown = []

    async def put(question: str) -> str:
        shown.append(question)
        return typed

    policy = parse(f"{HEAD}{ASKS}  {{kind: person}}", "mine.yaml")
    found = await Authority(policy, put=put).decide(asked("delete", name="web\x1b[2J"))
    assert (found.effect, found.reason) == (effect, reason)
    assert shown == ["agent asks to delete deployments.apps web [2J in shop [delete] (rule gone)"]
    with pytest.raises(InputError, match="nobody is at a terminal"):
        Authority(policy)


async def test_a_person_who_does_not_answer_says_no() -> None:
    async def put(_: str) -> str:
        await asyncio.sleep(30)
        return "yes"

    policy = parse(f"{HEAD}{ASKS}  {{kind: person, timeout: 0.05}}", "mine.yaml")
    found = await Authority(policy, put=put).decide(asked("delete"))
    assert (found.effect, found.reason) == ("deny", "person did not answer within 0.05 s")


async def test_whoever_sits_at_the_terminal_types_an_answer() -> None:
    here, there = os.pipe()
    shown = io.StringIO()
    with os.fdopen(here) as reader, os.fdopen(there, "w", buffering=1) as keyboard:
        policy = parse(f"{HEAD}{ASKS}  {{kind: person, timeout: 20}}", "mine.yaml")
        authority = Authority(policy, put=at_terminal(reader, shown))
        asking = asyncio.ensure_future(authority.decide(asked("delete")))
        while "allow it?" not in shown.getvalue():
            await asyncio.sleep(0.01)
        keyboard.write("y if you must\n")
        found = await asking
    assert (found.effect, found.reason, found.approver) == ("allow", "if you must", "person")


def test_rules_of_an_approver_are_rules() -> None:
    assert read_answer(200, b'{"allow": true, "reason": 3}', "hook").reason == "3"
    assert Rule(name="a", effect="allow").match.verbs == ()


def test_faults_of_a_mesh_are_experiments() -> None:
    route = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "r"}}
    broken = {**route, "spec": {"http": [{"fault": {"abort": {"httpStatus": 500}}}]}}
    kind = "virtualservices.networking.istio.io"
    assert "chaos" in effects_of(asked("create", kind, after=broken))
    assert "chaos" not in effects_of(asked("patch", kind, before=(broken,), after=route))


def test_the_page_shows_what_there_is() -> None:
    """Its example is a policy, and its table has every effect as the program knows it."""
    text = (SCHEMA.parents[1] / "docs" / "authority.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    assert parse(example, "docs").metadata.name == "shop-nights"
    for effect in EFFECTS:
        assert f"| `{effect}` | {meaning(effect)} |" in text
    assert all(f"| `{name}` |" in text for name in presets())
