"""Whether a text is a cron schedule, and if not, what the API server's parser says.

Source: the standard parser of `robfig/cron` v3, which the batch API uses.
"""

from __future__ import annotations

_FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    (0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_WORDS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_UNITS = ("ns", "us", "µs", "ms", "s", "m", "h")


def cron_problem(schedule: str) -> str:
    """What is wrong with a schedule; empty where it is right."""
    if len(schedule) > 1024:
        return "expected exactly 5 fields"
    for mark in ("TZ=", "CRON_TZ="):
        if schedule.startswith(mark):
            schedule = schedule.partition(" ")[2]
    if schedule.startswith("@"):
        if schedule in _WORDS:
            return ""
        if schedule.startswith("@every "):
            duration = schedule.removeprefix("@every ")
            good = duration[:1].isdigit() and duration.endswith(_UNITS)
            return "" if good else f'failed to parse duration {schedule}: time: invalid duration "{duration}"'
        return f"unrecognized descriptor: {schedule}"
    parts = schedule.split()
    if len(parts) != len(_FIELDS):
        return f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    for part, (low, high, words) in zip(parts, _FIELDS, strict=True):
        for item in part.split(","):
            if problem := _range_problem(item, low, high, words):
                return problem
    return ""


def _range_problem(text: str, low: int, high: int, words: tuple[str, ...]) -> str:
    pieces = text.split("/")
    ends = pieces[0].split("-")
    if ends[0] in {"*", "?"}:
        start, end = low, high
    else:
        start = end = 0
        for index, word in enumerate(ends[:2]):
            number, problem = _number(word, low, words)
            if problem:
                return problem
            start, end = (number, number) if index == 0 else (start, number)
        if len(ends) > 2:
            return f"too many hyphens: {text}"
    step = 1
    if len(pieces) == 2:
        step, problem = _number(pieces[1], low, ())
        if problem:
            return problem
        end = high if len(ends) == 1 else end
    elif len(pieces) > 2:
        return f"too many slashes: {text}"
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {text}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {text}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {text}"
    return f"step of range should be a positive number: {text}" if step == 0 else ""


def _number(text: str, low: int, words: tuple[str, ...]) -> tuple[int, str]:
    if text.lower() in words:
        return words.index(text.lower()) + low, ""
    if not text.lstrip("+-").isdecimal() or not text.isascii():
        return 0, f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax'
    number = int(text)
    return number, f"negative number ({number}) not allowed: {text}" if number < 0 else ""
