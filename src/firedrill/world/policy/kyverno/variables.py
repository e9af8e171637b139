"""`{{ … }}` and `$( … )` in policies, replaced by what they stand for."""

from __future__ import annotations

import posixpath
import re
from typing import Any, Protocol

from firedrill.world.policy.kyverno.budget import Exhausted
from firedrill.world.policy.kyverno.leaves import operator_of
from firedrill.world.policy.kyverno.overlay import anchor
from firedrill.world.policy.kyverno.query import NotFound, QueryError
from firedrill.world.policy.kyverno.scalars import TEXT_LIMIT, as_json, as_text

VARIABLE = re.compile(r"(?<!\\)\{\{((?:\{[^{}]*\}|[^{}])*)\}\}")
_ESCAPED = re.compile(r"\\(\{\{(?:\{[^{}]*\}|[^{}])*\}\})")
_REFERENCE = re.compile(r"(?<!\\)\$\(([^ ()][^()]*)\)")
_ROUNDS = 32
_DEEPEST = 200


class Queries(Protocol):
    """Answers queries."""

    def query(self, text: str) -> Any:
        """The value of a query; raises QueryError or Exhausted."""
        ...


def has_variable(text: Any) -> bool:
    """Whether a text holds a variable."""
    return isinstance(text, str) and VARIABLE.search(text) is not None


def substitute(document: Any, queries: Queries) -> Any:
    """A document with values in the place of variables and references.

    Raises:
        QueryError: one has no value.
        Exhausted: they refer to each other without end, or give too much.
    """
    return document if _is_static(document) else _walk(document, document, "", queries, 0)


_STATIC: dict[int, tuple[Any, bool]] = {}
"""Parts of policies that hold no variable at all; the part is held, so that its number is not used again."""


def _is_static(document: Any) -> bool:
    if isinstance(document, str):
        return "{{" not in document and "$(" not in document
    if not isinstance(document, dict | list):
        return True
    known = _STATIC.get(id(document))
    if known is not None and known[0] is document:
        return known[1]
    found = _static(document)
    if len(_STATIC) >= 4096:
        _STATIC.clear()
    _STATIC[id(document)] = (document, found)
    return found


def _static(document: Any) -> bool:
    waiting = [document]
    while waiting:
        here = waiting.pop()
        if isinstance(here, str):
            if "{{" in here or "$(" in here:
                return False
        elif isinstance(here, dict):
            waiting.extend(here)
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)
    return True


def _walk(here: Any, whole: Any, path: str, queries: Queries, depth: int) -> Any:
    if depth > _DEEPEST:
        raise Exhausted("the document is nested too deeply")
    if isinstance(here, str):
        return _text(here, whole, path, queries) if "{{" in here or "$(" in here else here
    if isinstance(here, dict):
        out = {}
        for key, value in here.items():
            fresh = _text(key, whole, path, queries) if isinstance(key, str) and "{{" in key else key
            out[fresh if isinstance(fresh, str) else as_text(fresh)] = _walk(
                value, whole, f"{path}/{key}", queries, depth + 1
            )
        return out
    if isinstance(here, list):
        return [_walk(item, whole, f"{path}/{at}", queries, depth + 1) for at, item in enumerate(here)]
    return here


def _text(text: str, whole: Any, path: str, queries: Queries) -> Any:
    if "$(" in text:
        text = _REFERENCE.sub(lambda found: _reference(found[1], whole, path), text)
    for _ in range(_ROUNDS):
        found = VARIABLE.search(text)
        if found is None:
            return _ESCAPED.sub(r"\1", text)
        if found[0] == text:
            return _resolve(found[1], path, queries)
        text = VARIABLE.sub(lambda item: _as_part(_resolve(item[1], path, queries)), text)
        if len(text) > TEXT_LIMIT:
            raise Exhausted("variables give too long a text")
    raise Exhausted("variables refer to each other without end")


def _as_part(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)


def _resolve(variable: str, path: str, queries: Queries) -> Any:
    name = variable.strip()
    if name == "@":
        name = "request.object" + "".join(
            f"[{part}]" if part.isdigit() else "." + _quoted(anchor(part)[1])
            for part in path.split("/")
            if part
        )
    try:
        return queries.query(name)
    except NotFound as problem:
        raise NotFound(str(problem).partition('"')[2].rpartition('"')[0]) from None
    except QueryError as problem:
        raise QueryError(f"failed to resolve {name} at path {path}: {problem}") from None


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else '"' + name.replace('"', '\\"') + '"'


def _reference(reference: str, whole: Any, path: str) -> str:
    operator = operator_of(reference)
    if operator in ("-", "!-"):
        operator = ""
    target = reference[len(operator) :]
    absolute = posixpath.normpath(
        target if target.startswith("/") else posixpath.join(_bare(path) or "/", target)
    )
    found: Any = whole
    for part in absolute.split("/"):
        if not part:
            continue
        found = _step(found, part)
    if found is None or isinstance(found, dict | list):
        raise QueryError(f"failed to resolve $({reference}) at path {path}")
    if not operator and not isinstance(found, str):
        raise QueryError(f"NotResolvedReferenceErr,reference $({reference}) not resolved at path {path}")
    return operator + as_text(found)


def _bare(path: str) -> str:
    return "/".join(anchor(part)[1] for part in path.split("/"))


def _step(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return next((value[key] for key in value if isinstance(key, str) and anchor(key)[1] == part), None)
    if isinstance(value, list) and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    return None
