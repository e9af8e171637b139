"""What goes into an evaluation of Rego and what comes out: plain, frozen, engine-neutral."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Module:
    """One policy file: its name for messages, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one evaluation: CPU seconds per input, bytes of memory, bytes of printed result."""

    seconds: float = 10.0
    memory: int = 512 * MIB
    output: int = 8 * MIB


@dataclass(frozen=True, slots=True)
class Value:
    """The query has a value. ``rows`` holds the variables of every answer, ``prints`` what policies printed.

    ``version`` is the language the modules were read as: 1, or 0 when version 1 could not parse them.
    """

    value: Any
    rows: tuple[dict[str, Any], ...] = ()
    version: int = 1
    back_end: str = "regorus"
    prints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Undefined:
    """The query has no answer. Never to be read as compliant."""

    version: int = 1
    back_end: str = "regorus"
    prints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RegoError:
    """The query could not be answered.

    ``code`` is ``rego_parse_error``, ``rego_compile_error``, ``rego_type_error``, ``rego_recursion_error``,
    ``refused_function``, ``unsupported_function``, ``eval_error``, ``time``, ``memory``, ``stack``,
    ``output`` or ``engine``. Rows and columns count from 1; 0 where the place is not known.
    """

    code: str
    message: str
    row: int = 0
    col: int = 0
    module: str = ""
    version: int = 1
    back_end: str = "regorus"

    def text(self) -> str:
        """One line: ``policy.rego:3:7: rego_parse_error: …``."""
        place = f"{self.module or 'policy'}:{self.row}:{self.col}: " if self.row else ""
        return f"{place}{self.code}: {self.message}"


Outcome = Value | Undefined | RegoError


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading the modules showed, before anything is evaluated."""

    version: int = 1
    errors: tuple[RegoError, ...] = ()
    packages: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    reads_input: frozenset[str] = field(default_factory=frozenset)


def verdict(outcome: Outcome) -> bool | None:
    """True compliant, False not compliant, None: no verdict (undefined, an error, or no boolean)."""
    if isinstance(outcome, Value) and isinstance(outcome.value, bool):
        return outcome.value
    return None
