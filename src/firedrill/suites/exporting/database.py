"""A database in memory that joins columns of numbers with texts and writes the lines of a table."""

# ruff: noqa: S608 - the SQL is our own; foreign text only stands in columns

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from firedrill.core.errors import InfrastructureError

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

MEMORY = "1GB"
_LINE = "(format csv, header true, quote '', escape '', delimiter '\x01', nullstr '')"
"""One column, written as it stands: its text has been quoted where it had to be."""


class Database:
    """Columns and texts of one export. One thread: lines come in the order that the SQL says, no other."""

    def __init__(self) -> None:
        import duckdb

        self._duckdb = duckdb
        config: dict[str, Any] = {
            "threads": 1,
            "memory_limit": MEMORY,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self._con: duckdb.DuckDBPyConnection = duckdb.connect(config=config)

    def texts(self, table: str, columns: Mapping[str, Sequence[str]]) -> None:
        """A table of texts by `id`, from 0."""
        count = len(next(iter(columns.values())))
        arrays: dict[str, NDArray[Any]] = {"id": np.arange(count, dtype=np.int32)}
        arrays |= {name: np.array([*texts, ""], dtype=object)[:-1] for name, texts in columns.items()}
        self.numbers(table, arrays)

    def numbers(self, table: str, columns: Mapping[str, NDArray[Any]]) -> None:
        """A table of columns of equal length."""
        self._con.register("given", dict(columns))
        self._con.execute(f'create or replace table "{table}" as select * from given')
        self._con.unregister("given")

    def write(self, path: Path, header: Sequence[str], lines: str) -> None:
        """Write a header, and the lines that a query gives in its only column.

        The file appears whole or not at all.

        Raises:
            InfrastructureError: it cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
        made = place / "table"
        try:
            self._con.execute(
                f"copy (select line as \"{chr(9).join(header)}\" from ({lines})) to '{_quoted(made)}' {_LINE}"
            )
            made.chmod(0o644)
            made.replace(path)
        except self._duckdb.Error as error:
            raise InfrastructureError(f"{path} cannot be written: {error}") from error
        finally:
            with suppress(OSError):
                made.unlink(missing_ok=True)
                place.rmdir()

    def close(self) -> None:
        """Give its memory back."""
        self._con.close()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
