"""Tables: what `kubectl get` shows, column by column."""

from firedrill.world.kube.printers.ages import Since, human_duration, short_duration
from firedrill.world.kube.printers.jsonpath import compile_path
from firedrill.world.kube.printers.table import Cell, at, cells, columns, row, table

__all__ = [
    "Cell",
    "Since",
    "at",
    "cells",
    "columns",
    "compile_path",
    "human_duration",
    "row",
    "short_duration",
    "table",
]
