"""An episode's receipt as turns that a person can read."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from firedrill.records.receipt import ReceiptLine

ANCHOR = re.compile(r"e[0-9]{1,4}")
"""What evidence is called in a receipt: the ``e1`` that ``[e1]`` points to."""
MOST_LINES = 2_000
"""Receipt lines shown on a page; the run folder has the rest."""
_OPEN_LINES = 12
"""Outputs up to this many lines are shown open."""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a turn; ``text`` and ``label`` are foreign and unescaped.

    ``anchor`` is set on evidence: what an agent says may point to it as ``[e1]``.
    """

    kind: Literal["say", "call", "output", "note", "evidence"]
    label: str = ""
    text: str = ""
    open: bool = True
    anchor: str = ""


@dataclass(slots=True)
class Turn:
    """What happened between one message of the model and the next."""

    title: str
    parts: list[Part] = field(default_factory=list)


def turns_of(lines: Iterable[ReceiptLine]) -> tuple[list[Turn], int]:
    """The turns of a receipt and how many lines were left out at its end.

    A new turn starts at each message of the model; what comes before the first stands under "Start".
    """
    turns = [Turn("Start")]
    shown = left_out = number = 0
    for line in lines:
        if line.kind == "request":
            continue  # those have a table of their own
        shown += 1
        if shown > MOST_LINES:
            left_out += 1
            continue
        payload = line.payload
        if line.kind == "message" and payload.get("role", "assistant") == "assistant":
            number += 1
            turns.append(Turn(f"Turn {number}"))
        turns[-1].parts.extend(_parts(line.kind, payload))
    return [turn for turn in turns if turn.parts], left_out


def _parts(kind: str, payload: Mapping[str, Any]) -> list[Part]:
    if "left_out" in payload:
        return [Part("note", f"{kind}: too long to keep", _words(payload["left_out"]))]
    if kind == "message":
        return _message(payload)
    if kind == "tool_call":
        return [_call(payload)]
    if kind == "tool_result":
        return _result(payload)
    if kind == "evidence":
        return [_evidence(payload)]
    if kind == "submission":
        return [Part("output", "answer handed in", _words(payload.get("text", "")), open=False)]
    if kind == "task":
        return [Part("output", "the task", _words(payload.get("text", payload)), open=False)]
    if kind == "end":
        return [
            Part("note", f"ended: {_words(payload.get('outcome', ''))}", _words(payload.get("reason", "")))
        ]
    text = payload.get("text", payload.get("reason"))
    return [Part("note", kind.replace("_", " "), _words(payload if text is None else text))]


def _message(payload: Mapping[str, Any]) -> list[Part]:
    content = payload.get("content", "")
    role = payload.get("role", "assistant")
    if role == "assistant":
        return [Part("say", text=_words(content))] if content else []
    return [Part("output", f"message to the model ({role})", _words(content), open=False)] if content else []


def _evidence(payload: Mapping[str, Any]) -> Part:
    anchor = str(payload.get("id", ""))
    place = " ".join(str(payload[name]) for name in ("file", "time", "entity") if payload.get(name))
    return Part(
        "evidence", place, _words(payload.get("text", "")), anchor=anchor if ANCHOR.fullmatch(anchor) else ""
    )


def _call(payload: Mapping[str, Any]) -> Part:
    arguments = payload.get("arguments", "")
    if isinstance(arguments, str):
        # models hand over their arguments as JSON text; a broken one is shown as it is
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    if isinstance(arguments, Mapping) and isinstance(arguments.get("command"), str):
        rest = {key: value for key, value in arguments.items() if key != "command"}
        label = f"{payload.get('name', 'tool')} {_words(rest)}" if rest else str(payload.get("name", "tool"))
        return Part("call", label, arguments["command"])
    return Part("call", str(payload.get("name", "tool")), _words(arguments))


def _result(payload: Mapping[str, Any]) -> list[Part]:
    parts = []
    code = payload.get("exit_code")
    state = ", timed out" if payload.get("timed_out") else ""
    state += ", cut" if payload.get("truncated") else ""
    for name in ("stdout", "stderr", "content"):
        text = payload.get(name)
        if text:
            words = _words(text)
            lines = words.count("\n") + 1
            label = "result" if name == "content" else name
            label += f" ({lines} line{'s' if lines != 1 else ''})"
            parts.append(Part("output", label, words, open=lines <= _OPEN_LINES))
    if code not in (None, 0) or state:
        parts.append(Part("note", f"exit code {code}{state}" if code is not None else state.strip(", ")))
    elif not parts:
        parts.append(Part("note", "no output"))
    return parts


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
