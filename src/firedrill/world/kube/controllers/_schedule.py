"""Cron schedules: five fields, names, steps, ranges, `@daily` and its like, in a time zone.

Source: robfig/cron v3, `ParseStandard`, which the CronJob controller uses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SHORT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = {name: index for index, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: index for index, name in enumerate(_DAY_NAMES)}
_NO_NAMES: dict[str, int] = {}
_FIELDS = ((0, 59, _NO_NAMES), (0, 23, _NO_NAMES), (1, 31, _NO_NAMES), (1, 12, _MONTHS), (0, 6, _DAYS))
_EVERY = re.compile(r"@every (?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")
_OPEN = frozenset({"*", "?", "*/1"})
_MINUTE = 60_000
_FAR = 5 * 366


class ScheduleError(ValueError):
    """The text is no schedule, or the time zone is unknown."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something is due.

    Attributes:
        fields: the allowed minutes, hours, days of the month, months, days of the week.
        any_day, any_weekday: whether those two fields are left open.
        every: a period in ms instead of all that.
        zone: the time zone of the fields.
    """

    fields: tuple[frozenset[int], ...]
    any_day: bool
    any_weekday: bool
    every: int
    zone: tzinfo

    def after(self, ms: int) -> int | None:
        """The first moment later than that one, in ms; None where there is none within five years."""
        if self.every:
            return (ms // 1000) * 1000 + self.every
        minutes, hours, *_ = self.fields
        moment = datetime.fromtimestamp(ms // _MINUTE * 60 + 60, UTC)
        local = moment.astimezone(self.zone)
        for _ in range(_FAR):
            if self._is_day(local):
                found = self._within(local, minutes, hours, ms)
                if found is not None:
                    return found
            local = (local.replace(tzinfo=None) + timedelta(days=1)).replace(
                hour=0, minute=0, tzinfo=self.zone
            )
        return None

    def _within(self, start: datetime, minutes: frozenset[int], hours: frozenset[int], ms: int) -> int | None:
        """The first match on the day of `start`, not before it."""
        for hour in sorted(hours):
            if hour < start.hour:
                continue
            for minute in sorted(minutes):
                local = start.replace(hour=hour, minute=minute, fold=0)
                found = round(local.timestamp() * 1000)
                back = datetime.fromtimestamp(found // 1000, UTC).astimezone(self.zone)
                if found > ms and (back.hour, back.minute) == (hour, minute):
                    return found
        return None

    def _is_day(self, local: datetime) -> bool:
        _, _, days, months, weekdays = self.fields
        if local.month not in months:
            return False
        day, weekday = local.day in days, local.isoweekday() % 7 in weekdays
        return (day and weekday) if self.any_day or self.any_weekday else (day or weekday)


@lru_cache(maxsize=512)
def parse(text: str, zone: str = "") -> Schedule:
    """Read a schedule.

    Raises:
        ScheduleError: it is malformed, or the zone is unknown.
    """
    try:
        place: tzinfo = ZoneInfo(zone) if zone else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleError(f"unknown time zone {zone}") from None
    text = text.strip()
    if match := _EVERY.fullmatch(text):
        hours, minutes, seconds = (int(item or 0) for item in match.groups())
        period = (hours * 3600 + minutes * 60 + seconds) * 1000
        return Schedule((), False, False, max(period, 1000), place)
    parts = _SHORT.get(text, text).split()
    if len(parts) != len(_FIELDS):
        raise ScheduleError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    fields = tuple(
        _field(part, low, high, names) for part, (low, high, names) in zip(parts, _FIELDS, strict=True)
    )
    return Schedule(fields, parts[2] in _OPEN, parts[4] in _OPEN, 0, place)


def _field(text: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    out: set[int] = set()
    for part in text.split(","):
        span, _, step_text = part.partition("/")
        step = _number(step_text, {}) if step_text else 1
        if span in {"*", "?"}:
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, names)
            last = _number(end, names) if dash else (high if step_text else first)
        if step < 1 or first < low or last > high or first > last:
            raise ScheduleError(f"value out of range ({low} - {high}): {part}")
        out.update(range(first, last + 1, step))
    return frozenset(out)


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise ScheduleError(f"failed to parse int from {text}: invalid syntax")
    return int(text)
