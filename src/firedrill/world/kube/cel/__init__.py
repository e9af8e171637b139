"""CEL with the Kubernetes libraries: `compile(text).evaluate(variables)`.

The core language is evaluated by the `common-expression-language` package; optional syntax, `cel.bind`,
two-variable loops and all libraries are ours.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firedrill.world.kube.cel.program import Program, compile  # noqa: A004 - as in `re`
    from firedrill.world.kube.cel.syntax import CelSyntaxError
    from firedrill.world.kube.cel.values import Access, CelError, Optional

__all__ = ["Access", "CelError", "CelSyntaxError", "Optional", "Program", "compile"]

_HOMES = {
    "Access": "values",
    "CelError": "values",
    "CelSyntaxError": "syntax",
    "Optional": "values",
    "Program": "program",
    "compile": "program",
}


def __getattr__(name: str) -> Any:
    """Load the language when its first expression comes: most clusters have none."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return found
