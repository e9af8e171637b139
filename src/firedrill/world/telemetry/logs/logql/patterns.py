"""The pattern parser and pattern filters: `<ip> - <user> [<_>] "<method> <path> <_>"`."""

from __future__ import annotations

import re

_CAPTURE = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")


class PatternError(ValueError):
    """The text is no pattern; the message is Loki's."""


class Pattern:
    """Literals and captures in turn.

    Args:
        text: of the pattern.
        captures: it is to have named captures (a parser); else it may have none (a filter).

    Attributes:
        names: of the captures, in order, without the unnamed ones.

    Raises:
        PatternError: it is none.
    """

    __slots__ = ("_parts", "names")

    def __init__(self, text: str, *, captures: bool = True) -> None:
        pieces = _CAPTURE.split(text)
        parts: list[tuple[bool, str]] = []  # (is a capture, name or literal)
        for number, piece in enumerate(pieces):
            if number % 2:
                if captures and parts and parts[-1][0]:
                    raise PatternError(
                        f"found consecutive capture '<{parts[-1][1]}><{piece}>': invalid expression"
                    )
                if not captures and parts and parts[-1][0]:
                    raise PatternError(
                        f"found consecutive capture '<{parts[-1][1]}><{piece}>': invalid expression"
                    )
                parts.append((True, piece))
            elif piece:
                parts.append((False, piece))
        self._parts = tuple(parts)
        self.names = tuple(name for capture, name in parts if capture and name != "_")
        if captures:
            self._check_parser()
        elif self.names:
            raise PatternError(f"named captures are not allowed: found '<{self.names[0]}>'")

    def _check_parser(self) -> None:
        if not self._parts:
            raise PatternError(
                "parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL"
            )
        seen: set[str] = set()
        for name in self.names:
            if name in seen:
                raise PatternError(f"duplicate capture name ({name}): invalid expression")
            seen.add(name)
        if not self.names:
            raise PatternError("at least one capture is required")

    def captures(self, line: str) -> list[tuple[str, str]]:
        """What the captures hold; those behind the first literal that is missing are left out."""
        out: list[tuple[str, str]] = []
        parts, at, number = self._parts, 0, 0
        if not line:
            return out
        if not parts[0][0]:
            if not line.startswith(parts[0][1]):
                return out
            at, number = len(parts[0][1]), 1
        while number < len(parts):
            name = parts[number][1]
            literal = parts[number + 1][1] if number + 1 < len(parts) else ""
            end = line.find(literal, at) if literal else -1
            if name != "_":
                out.append((name, line[at:] if end < 0 else line[at:end]))
            if end < 0:
                return out
            at, number = end + len(literal), number + 2
        return out

    def fits(self, line: str) -> bool:
        """Whether all of the line fits, each capture standing for at least one character."""
        parts = self._parts
        if not line or not parts:
            return not line and not parts
        at = 0
        for number, (capture, text) in enumerate(parts):
            if capture:
                continue
            found = line.find(text, at)
            if found < 0 or (number == 0) != (found == at):
                return False
            at = found + len(text)
        return (at != len(line)) == parts[-1][0]
