"""What is wrong with a policy before it runs: its shape, unknown functions, a verdict that reads nothing."""

from __future__ import annotations

from firedrill.core.errors import Finding
from firedrill.world.policy.rego.engine import check
from firedrill.world.policy.rego.model import Checked, Module


def lint(text: str, package: str = "check", rule: str = "result", name: str = "policy.rego") -> list[Finding]:
    """Findings in the order of their place; ``error`` ones keep a policy from being graded.

    Codes: the compiler's (``rego-parse-error``, ``rego-type-error``, ``refused-function`` …), ``no-package``,
    ``no-rule``, ``constant-rule`` (the verdict does not depend on the input), ``old-syntax`` (read
    as version 0; info).
    """
    return findings(check([Module(name, text)]), package, rule, name)


def findings(checked: Checked, package: str, rule: str, name: str) -> list[Finding]:
    """The findings of modules that were read already."""
    found = [
        Finding("error", error.code.replace("_", "-"), error.message, name, error.row or None)
        for error in checked.errors
    ]
    if not checked.packages:
        return found
    if package not in checked.packages:
        held = ", ".join(checked.packages)
        found.append(Finding("error", "no-package", f"package {package} is asked for, found {held}", name, 1))
    elif f"{package}.{rule}" not in checked.rules:
        found.append(Finding("error", "no-rule", f"package {package} has no rule {rule}", name, 1))
    elif f"{package}.{rule}" not in checked.reads_input:
        words = f"rule {rule} never reads input: it is the same for every world"
        found.append(Finding("error", "constant-rule", words, name, 1))
    if checked.version == 0:
        found.append(
            Finding("info", "old-syntax", "read as Rego version 0: version 1 cannot parse it", name, 1)
        )
    return found
