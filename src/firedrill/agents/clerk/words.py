"""The words of a requirement: sentences, what stands in code marks, and what is set aside."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPAN = re.compile(r"`([^`]+)`")
_STOP = re.compile(r"(?<=[.;])\s+(?=[A-Z`])|(?<=:)\s+(?=-\s)|\s-\s(?=`|[a-z])")
_WAIVED = re.compile(
    r"another rule|\bis allowed\b|\bare allowed\b|\bmay be used\b|\b(?:is|are) fine\b|not asked"
    r"|\bmean(?:s)? nothing|(?:do|does) not matter|ha(?:ve|s) no effect|no difference"
    r"|(?:do|does) not count|not enough",
)
_OUTSIDE = re.compile(
    r"(?:outside(?: of)?|except(?: in| for)?|exempt(?:ed)?(?: are| is)?|(?:but|than)(?: in)?|apart from)"
    r"(?: in)? the namespaces? ((?:`[^`]+`(?:,? and |, )?)+)",
    re.IGNORECASE,
)
_EVERY_BUT = re.compile(
    r"namespaces?,? (?:but|except(?: for)?|other than|apart from) ((?:`[^`]+`(?:,? and |, )?)+)",
    re.IGNORECASE,
)
_ARE_EXEMPT = re.compile(
    r"namespaces? ((?:`[^`]+`(?:,? and |, )?)+),? (?:is|are) (?:exempt|left out|excepted)", re.I
)


@dataclass(frozen=True)
class Words:
    """A requirement, read.

    Attributes:
        text: on one line.
        sentences: in order.
    """

    text: str
    sentences: tuple[str, ...]

    @property
    def demands(self) -> tuple[str, ...]:
        """The sentences that demand something, without those that say what does not matter."""
        return tuple(item for item in self.sentences if not _WAIVED.search(item))

    @property
    def lower(self) -> str:
        """The text in lower case, without code marks."""
        return self.text.replace("`", "").lower()

    @property
    def exempt(self) -> tuple[str, ...]:
        """The namespaces that are exempt, sorted."""
        found: set[str] = set()
        for pattern in (_OUTSIDE, _EVERY_BUT, _ARE_EXEMPT):
            for listed in pattern.findall(self.text):
                found.update(spans(listed))
        return tuple(sorted(found))


def read(text: str) -> Words:
    """Read a requirement."""
    line = " ".join(text.split())
    return Words(line, tuple(item.strip() for item in _STOP.split(line) if item.strip()))


def spans(text: str) -> tuple[str, ...]:
    """What stands in code marks, in order."""
    return tuple(_SPAN.findall(text))


def literal(word: str) -> bool | int | str:
    """A value as YAML has it."""
    if word in ("true", "false"):
        return word == "true"
    return int(word) if re.fullmatch(r"-?\d+", word) else word


__all__ = ["Words", "literal", "read", "spans"]
