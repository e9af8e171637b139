"""How numbers and foreign text look wherever a person reads them."""

from __future__ import annotations

from firedrill.core.episode import EpisodeRecord
from firedrill.grading.scoreboard import AgentScore
from firedrill.grading.statistics import Estimate

DASH = "–"

NOTICE = (
    "Scored by {scorer}: the deterministic matcher DM-1 and our own prompts, no judge model. Compare with "
    "runs of the same suite digest and scorer only; not with published ITBench-AA figures, whose names a "
    "model matched."
)

LIVING_NOTICE = (
    "Scored by {scorer} from the states of simulated worlds: what became of users, alerts, objects and "
    "guards, against forks in which nobody acted and in which the reference repair was made. No judge model. "
    "Compare with runs of the same suite digest and scorer only."
)

COMPLIANCE_NOTICE = (
    "Scored by {scorer}: what was handed in ran again on hidden variants of the world or host, and its "
    "verdicts were held against a decision procedure. No judge model. Compare with runs of the same suite "
    "digest and scorer only."
)

# bidirectional overrides can make text read as something else than it is; controls can hide it
_DIRECTION = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)
_BIDI = {code: f"\\u{code:04x}" for code in _DIRECTION}
_CONTROLS = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)} | {0x7F: "␡"}
_C1 = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "�")
_VISIBLE = {**_BIDI, **_CONTROLS, **_C1, **_SURROGATES}


def notice(scorer: str) -> str:
    """With what the numbers of a scorer can be compared."""
    words = LIVING_NOTICE if "+living" in scorer else NOTICE
    if scorer.startswith("compliance"):
        words = COMPLIANCE_NOTICE
    return words.format(scorer=scorer or "unknown")


def visible(text: object) -> str:
    """Foreign text with control and direction characters made visible, so that it hides nothing."""
    return str(text).replace("\r\n", "\n").translate(_VISIBLE)


def one_line(text: object, limit: int = 200) -> str:
    """Foreign text on one line, cut at ``limit`` characters."""
    line = visible(" ".join(str(text).split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def number(value: float | None, digits: int = 3) -> str:
    """A score or ratio; a dash where there is none."""
    return DASH if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share in 0..1 as per cent with one decimal."""
    return DASH if value is None else f"{value * 100:.1f} %"


def interval(found: Estimate) -> str:
    """The 95 % interval in per cent, e.g. ``[12.5, 40.1]``."""
    if found.low is None or found.high is None:
        return DASH
    return f"[{found.low * 100:.1f}, {found.high * 100:.1f}]"


def money(value: float | None) -> str:
    """US dollars, with enough digits for a cheap episode."""
    if value is None:
        return DASH
    if value and abs(value) < 0.01:
        return f"${value:.4f}"
    return f"${value:,.2f}"


def duration(seconds: float | None) -> str:
    """Wall time as a person says it."""
    if seconds is None:
        return DASH
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def span(seconds: float | None) -> str:
    """Virtual time, to the second."""
    return DASH if seconds is None else duration(seconds) if seconds >= 60 else f"{seconds:.0f} s"


def signed(value: float | None, digits: int = 2) -> str:
    """A gain or a loss, with its sign; none where it rounds to nothing."""
    if value is None:
        return DASH
    words = f"{value:+.{digits}f}".replace("-", "\u2212")
    return words if any(sign in "123456789" for sign in words) else words[1:]


def count(value: float | None) -> str:
    """A mean count: whole numbers without decimals, thousands apart."""
    if value is None:
        return DASH
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:,.1f}"


def p_value(value: float) -> str:
    """A p value, e.g. ``= 0.031``; below a thousandth only that it is."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def bucket(score: float | None) -> str:
    """A style class for a score: ``s0`` .. ``s10``, ``sx`` where there is none."""
    return "sx" if score is None else f"s{round(min(1.0, max(0.0, score)) * 10)}"


def outcome_words(row: AgentScore) -> str:
    """The outcomes that occurred, most frequent first, e.g. ``34 submitted, 2 turn limit``."""
    seen = sorted(((n, name) for name, n in row.outcomes.items() if n), key=lambda item: (-item[0], item[1]))
    return ", ".join(f"{n} {name.replace('_', ' ')}" for n, name in seen) or DASH


def agent_name(folder: str, names: dict[str, str]) -> str:
    """The agent's readable name; its folder name where the run does not say."""
    return names.get(folder, folder)


def episode_page(record: EpisodeRecord) -> str:
    """The file name of an episode's page; its parts are safe folder names already."""
    return f"{record.scenario}--{record.agent}--{record.repeat}.html"
