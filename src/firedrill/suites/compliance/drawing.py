"""Names and numbers of variants, drawn by seed, and texts with them in their places.

`${name}` in a text is what was drawn for `name`; a text that is nothing else keeps its type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from random import Random
from typing import Any

from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError
from firedrill.suites.compliance.model import Drawn

_PLACE = re.compile(r"\$\{([a-z][a-z0-9_]*)\}")


@cache
def pools() -> Mapping[str, tuple[str, ...]]:
    """Words by the name of their pool."""
    text = resources.files("firedrill.suites.compliance").joinpath("words.yaml").read_text("utf-8")
    (document,) = read_documents(text, "words.yaml")
    return {str(name): tuple(map(str, words)) for name, words in document.items()}


def draw(
    wanted: Mapping[str, Drawn], key: str, source: str, taken: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A value for each name; no word of a pool twice.

    Args:
        wanted: what is to be drawn.
        key: same key, same values.
        source: the scenario's file, for errors.
        taken: what was drawn before and is not to be drawn again.

    Raises:
        InputError: there is no such pool, or nothing in it is left.
    """
    random = Random(key)  # noqa: S311 - no secret
    found: dict[str, Any] = dict(taken or {})
    for name, what in wanted.items():
        if isinstance(what, str):
            words = pools().get(what)
            if words is None:
                mend = f"there are {', '.join(sorted(pools()))}"
                raise InputError(f"no pool {what!r}", source=source, field=f"draws.{name}", mend=mend)
            left = [word for word in words if word not in found.values()]
            if not left:
                raise InputError(f"no word is left in {what}", source=source, field=f"draws.{name}")
            found[name] = random.choice(left)
        elif isinstance(what, Mapping):
            try:
                found[name] = random.randint(what["from"], what["to"])
            except (KeyError, ValueError) as error:
                raise InputError(f"no range: {error}", source=source, field=f"draws.{name}") from None
        else:
            left = [word for word in what if word not in found.values()] or list(what)
            found[name] = random.choice(left)
    return found


def filled(value: Any, words: Mapping[str, Any], source: str, *, lenient: bool = False) -> Any:
    """A copy of `value` with `${name}` replaced in texts and keys.

    Args:
        value: plain data.
        words: by name.
        source: the scenario's file, for errors.
        lenient: whether names that were not drawn are left as they are; a shell script has its own.

    Raises:
        InputError: a name was not drawn.
    """
    if isinstance(value, str):
        return _fill(value, words, source, lenient)
    if isinstance(value, Mapping):
        return {
            str(_fill(str(key), words, source, lenient)): filled(item, words, source, lenient=lenient)
            for key, item in value.items()
        }
    if isinstance(value, Sequence):
        return [filled(item, words, source, lenient=lenient) for item in value]
    return value


def _fill(text: str, words: Mapping[str, Any], source: str, lenient: bool) -> Any:
    if "${" not in text:
        return text
    whole = _PLACE.fullmatch(text)
    if whole is not None and whole[1] in words:
        return words[whole[1]]

    def put(match: re.Match[str]) -> str:
        if match[1] in words:
            return str(words[match[1]])
        if lenient:
            return match[0]
        raise InputError(f"${{{match[1]}}} is not drawn", source=source, mend="name it under draws or fixed")

    return _PLACE.sub(put, text)


__all__ = ["draw", "filled", "pools"]
