"""Authority policies: files that say what an agent may do, read with errors that help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from firedrill.core.documents import read_documents
from firedrill.core.episode import Record
from firedrill.core.errors import InputError

LIMIT = 256 * 1024
"""Bytes of a policy file."""
LONGEST = 200
"""Rules of a policy."""
Text = Annotated[str, Field(max_length=500)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,62}[a-z0-9])?$")]
Patterns = Annotated[tuple[Annotated[str, Field(min_length=0, max_length=300)], ...], Field(max_length=100)]
Effect = Literal["allow", "ask", "deny"]
VERBS = (
    "read", "write", "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*",
)  # fmt: skip
APIS = ("kubernetes", "prometheus", "alertmanager", "loki", "jaeger")


class Range(Record):
    """A range for a number."""

    above: int | None = None
    below: int | None = None


class Match(Record):
    """What a rule is about: everything that is said has to hold; what is not said holds for all requests.

    Patterns are those of file names, and count upper and lower case.
    """

    apis: Patterns = ()
    """`kubernetes`, `alertmanager`, …"""
    users: Patterns = ()
    verbs: Patterns = ()
    """As in RBAC, and `read` and `write`."""
    resources: Patterns = ()
    """As in `pods`, `deployments.apps` or `*.rbac.authorization.k8s.io`; without a dot, of any group."""
    kinds: Patterns = ()
    groups: Patterns = ()
    """`core` for the group without a name."""
    namespaces: Patterns = ()
    names: Patterns = ()
    subresources: Patterns = ()
    """As in `exec`; an empty text for the object itself."""
    effects: Patterns = ()
    """One of these; see `firedrill.tools.authority.effects`."""
    without: Patterns = ()
    """None of these effects."""
    only: Patterns = ()
    """Nothing changes but these fields, as JSON pointers: `/metadata/annotations/*`."""
    programs: Patterns = ()
    """Of an exec: its first word."""
    count: Range | None = None
    age: Range | None = None
    """Minutes since the objects were made; of what is made now, 0."""
    dry_run: bool | None = None


class Rule(Record):
    """What is to be done about some requests; the first rule that fits decides."""

    name: Name
    effect: Effect
    match: Match = Match()
    reason: Text = ""
    """For whoever is denied."""
    budget: Annotated[int, Field(ge=1)] | None = None
    """How many objects it lets through in an episode; then the next rule that fits decides."""


class ApproverSpec(Record):
    """Who is asked."""

    kind: Literal["lead", "rules", "webhook", "person"] = "lead"
    name: Text = ""
    minutes: Annotated[float, Field(ge=0, le=600)] = 0.0
    """Virtual time until the answer."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=LONGEST)] = ()
    """Of `lead` and `rules`: the first one that fits answers. Else a lead says yes, and rules say no."""
    url: Text = ""
    """Of a webhook."""
    timeout: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """Seconds of the wall clock that a webhook or a person has; then the answer is no."""


class Unmatched(Record):
    """What happens to requests that no rule fits."""

    read: Effect = "allow"
    write: Effect = "deny"


class Metadata(Record):
    """What a policy is called."""

    name: Name
    title: Text = ""


class Policy(Record):
    """``apiVersion: firedrill/v1``, ``kind: Authority``."""

    apiVersion: Literal["firedrill/v1"] = "firedrill/v1"
    kind: Literal["Authority"] = "Authority"
    metadata: Metadata
    extends: str = ""
    """A preset, whose rules stand behind those of this file."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=LONGEST)] = ()
    unmatched: Unmatched = Unmatched()
    approver: ApproverSpec | None = None


def presets() -> tuple[str, ...]:
    """The policies that come with the package."""
    here = files(__package__).joinpath("data", "presets")
    return tuple(
        sorted(item.name.removesuffix(".yaml") for item in here.iterdir() if item.name.endswith(".yaml"))
    )


@cache
def preset(name: str) -> Policy:
    """A policy that comes with the package.

    Raises:
        InputError: there is none of this name.
    """
    if name not in presets():
        raise InputError(
            f"there is no authority {name!r}", mend=f"use {_either(presets())}, or a path to a policy file"
        )
    text = files(__package__).joinpath("data", "presets", f"{name}.yaml").read_text("utf-8")
    return parse(text, f"preset {name}")


def open_policy(name: str) -> Policy:
    """The preset of that name, or the policy in the file at that path.

    Raises:
        InputError: there is neither, or the file is not in order.
    """
    if name in presets():
        return preset(name)
    path = Path(name)
    if path.suffix not in {".yaml", ".yml", ".json"} and not path.is_file():
        return preset(name)
    try:
        with path.open("rb") as handle:
            raw = handle.read(LIMIT + 1)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", source=name, mend="give another path"
        ) from None
    if len(raw) > LIMIT:
        raise InputError(f"is larger than {LIMIT // 1024} KB", source=name, mend="use patterns")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", source=name, mend="save it as UTF-8") from None
    return parse(text, name)


def located(name: str, folder: Path) -> str:
    """The name for `open_policy` of what a scenario in a folder calls its authority.

    Raises:
        InputError: there is no such preset or file, it lies outside of the folder, or is not in order.
    """
    if name in presets():
        return name
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        mend = "put it beside the scenario"
        raise InputError("lies outside of the scenario's folder", source=name, field="authority", mend=mend)
    if not path.is_file():
        preset(name)  # says what there is
    open_policy(str(path))
    return str(path)


def parse(text: str, source: str) -> Policy:
    """A policy from the text of its file, with what it extends.

    Raises:
        InputError: with the field that is wrong, and how to mend it.
    """
    documents = read_documents(text, source)
    if len(documents) != 1 or not isinstance(documents[0], Mapping):
        mend = "begin with `apiVersion: firedrill/v1` and `kind: Authority`"
        raise InputError("is no policy: one document with fields is expected", source=source, mend=mend)
    given = dict(documents[0])
    for field, wanted in (("apiVersion", "firedrill/v1"), ("kind", "Authority")):
        if given.get(field) != wanted:
            raise InputError(
                f"is {given[field]!r}" if field in given else "is missing",
                source=source, field=field, mend=f"write `{field}: {wanted}`",
            )  # fmt: skip
    try:
        policy = Policy.model_validate(given)
    except ValidationError as error:
        raise _told(error, given, source) from None
    _check(policy, source)
    return _extended(policy, source)


def _extended(policy: Policy, source: str) -> Policy:
    if not policy.extends:
        return policy
    if policy.extends not in presets():
        mend = f"extend {_either(presets())}"
        raise InputError(f"there is no preset {policy.extends!r}", source=source, field="extends", mend=mend)
    base = preset(policy.extends)
    own = {rule.name for rule in policy.rules}
    more: dict[str, Any] = {"rules": (*policy.rules, *(rule for rule in base.rules if rule.name not in own))}
    if "unmatched" not in policy.model_fields_set:
        more["unmatched"] = base.unmatched
    if policy.approver is None:
        more["approver"] = base.approver
    return policy.model_copy(update=more)


def _told(error: ValidationError, given: Any, source: str) -> InputError:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    field = ".".join(path) or "the file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _fields_at(path[:-1])
        close = get_close_matches(path[-1], known, 1)
        mend = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(known)}"
        return InputError(f"is no field of a policy{more}", source=source, field=field, mend=mend)
    if first["type"] == "missing":
        return InputError(f"is missing{more}", source=source, field=field, mend=f"write `{path[-1]}: …`")
    if first["type"] == "literal_error":
        close = get_close_matches(str(first["input"]), _words(first["ctx"]["expected"]), 1)
        mend = f"did you mean `{close[0]}`?" if close else f"use {first['ctx']['expected']}"
        return InputError(f"is {first['input']!r}{more}", source=source, field=field, mend=mend)
    if first["type"] == "string_pattern_mismatch":
        mend = "use small letters, digits and hyphens, as in `no-namespaces`"
        return InputError(f"{first['input']!r} is no name{more}", source=source, field=field, mend=mend)
    mend = "write a list, as in `[pods]`" if first["type"] == "tuple_type" else "see docs/authority.md"
    problem = first["msg"][0].lower() + first["msg"][1:]
    del given
    return InputError(f"{problem}{more}", source=source, field=field, mend=mend)


def _words(expected: str) -> list[str]:
    return [word.strip(" '") for part in expected.split(",") for word in part.split(" or ")]


def _fields_at(path: list[str]) -> list[str]:
    model: Any = Policy
    homes = {
        "metadata": Metadata, "rules": Rule, "match": Match, "count": Range, "age": Range,
        "unmatched": Unmatched, "approver": ApproverSpec,
    }  # fmt: skip
    for part in path:
        model = homes.get(part, model)
    return sorted(model.model_fields)


def _check(policy: Policy, source: str) -> None:
    """Refuse words that nobody knows: a rule with a slip of the pen in it would never fit.

    Raises:
        InputError: naming the first.
    """
    _check_rules(policy.rules, "rules", source)
    approver = policy.approver
    if approver is not None:
        _check_rules(approver.rules, "approver.rules", source)
        for number, rule in enumerate(approver.rules):
            if rule.effect == "ask":
                field = f"approver.rules.{number}.effect"
                mend = "write allow or deny"
                raise InputError("an approver cannot ask in turn", source=source, field=field, mend=mend)
        if approver.kind == "webhook" and not approver.url.startswith(("http://", "https://")):
            mend = "write `url: https://…`"
            raise InputError("a webhook needs an address", source=source, field="approver.url", mend=mend)
    asks = [f"rules.{i}.effect" for i, rule in enumerate(policy.rules) if rule.effect == "ask"]
    asks += [f"unmatched.{way}" for way in ("read", "write") if getattr(policy.unmatched, way) == "ask"]
    if asks and approver is None and not policy.extends:
        mend = "add `approver: {kind: lead, minutes: 2}`"
        raise InputError("nobody is named who could be asked", source=source, field=asks[0], mend=mend)


def _check_rules(rules: Iterable[Rule], where: str, source: str) -> None:
    from firedrill.tools.authority.effects import EFFECTS

    seen: dict[str, str] = {}
    for number, rule in enumerate(rules):
        at = f"{where}.{number}"
        if rule.name in seen:
            mend = "give each rule a name of its own"
            raise InputError(
                f"{rule.name!r} is also {seen[rule.name]}", source=source, field=f"{at}.name", mend=mend
            )
        seen[rule.name] = at
        match = rule.match
        _known(match.verbs, VERBS, f"{at}.match.verbs", "verb", source)
        _known(match.apis, APIS, f"{at}.match.apis", "API", source)
        _known(match.effects, EFFECTS, f"{at}.match.effects", "effect", source)
        _known(match.without, EFFECTS, f"{at}.match.without", "effect", source)
        _known_resources(match.resources, f"{at}.match.resources", source)
        _near(match.kinds, f"{at}.match.kinds", source)
        for index, pointer in enumerate(match.only):
            if not pointer.startswith("/"):
                field, mend = f"{at}.match.only.{index}", "write `/metadata/annotations/*`"
                raise InputError(f"{pointer!r} is no JSON pointer", source=source, field=field, mend=mend)


def _near(given: Iterable[str], field: str, source: str) -> None:
    """Refuse what is nearly a kind; others may be defined later."""
    for number, word in enumerate(given):
        close = [] if word in _kinds() else get_close_matches(word, _kinds(), 1, 0.85)
        if close:
            mend = f"did you mean `{close[0]}`?"
            raise InputError(
                f"there is no kind {word!r}", source=source, field=f"{field}.{number}", mend=mend
            )


def _known(given: Iterable[str], known: Iterable[str], field: str, what: str, source: str) -> None:
    words = tuple(known)
    for number, word in enumerate(given):
        if word in words:
            continue
        close = get_close_matches(word, words, 1)
        mend = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(words[:30])}"
        raise InputError(f"there is no {what} {word!r}", source=source, field=f"{field}.{number}", mend=mend)


def _known_resources(given: Iterable[str], field: str, source: str) -> None:
    """Refuse plural names without a group that no kind has; what has a group may be defined later."""
    words = _plurals()
    for number, word in enumerate(given):
        if "." in word or set(word) & set("*?[") or word in words:
            continue
        singular = {kind.lower(): plural for kind, plural in _by_kind().items()}
        close = [singular[word.lower()]] if word.lower() in singular else get_close_matches(word, words, 1)
        mend = (
            f"did you mean `{close[0]}`?"
            if close
            else "write `<plural>.<group>` for what is no part of Kubernetes"
        )
        raise InputError(
            f"there is no resource {word!r}", source=source, field=f"{field}.{number}", mend=mend
        )


@cache
def _by_kind() -> Mapping[str, str]:
    from firedrill.world.kube.kinds import default_kinds

    return {kind.kind: kind.plural for kind in default_kinds().all()}


@cache
def _plurals() -> tuple[str, ...]:
    return (*sorted(set(_by_kind().values())), "silences")


@cache
def _kinds() -> tuple[str, ...]:
    return (*sorted(_by_kind()), "Silence")


def _either(names: Iterable[str]) -> str:
    *some, last = names
    return f"{', '.join(some)} or {last}" if some else last


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a policy file."""
    found = Policy.model_json_schema()
    for name in ("apiVersion", "kind"):
        found["properties"][name].pop("default", None)  # a file must say what it is
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Firedrill authority policy",
        **{key: value for key, value in found.items() if key != "title"},
        "required": ["apiVersion", "kind", "metadata"],
    }


def schema_text() -> str:
    """The text of ``schemas/authority.schema.json``."""
    import json

    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
