"""CEL with the Kubernetes libraries: `compile(text).evaluate(variables)`.

The core language is evaluated by the `common-expression-language` package; optional syntax, `cel.bind`,
two-variable loops and all libraries are ours.
"""

from firedrill.world.kube.cel.program import Program, compile  # noqa: A004 - as in `re`
from firedrill.world.kube.cel.syntax import CelSyntaxError
from firedrill.world.kube.cel.values import Access, CelError, Optional

__all__ = ["Access", "CelError", "CelSyntaxError", "Optional", "Program", "compile"]
