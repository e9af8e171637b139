"""Authority policies: files that say what an agent may do, and those that come along."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError
from firedrill.tools.authority.checking import check, told
from firedrill.tools.authority.model import Policy

LIMIT = 256 * 1024
"""Bytes of a policy file."""


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
        raise told(error, source) from None
    check(policy, source)
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
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
