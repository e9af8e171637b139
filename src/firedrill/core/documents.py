"""Reading files of YAML documents that somebody else wrote, such as manifests and rule files."""

from __future__ import annotations

from typing import Any

import yaml

from firedrill.core._document import scan
from firedrill.core.errors import InputError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
    """YAML as Kubernetes and Prometheus read it: a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in _Loader.yaml_implicit_resolvers.items()
}


def read_documents(text: str, source: str) -> list[Any]:
    """The documents of a YAML or JSON text.

    Bounded before anything is built: the C parser would overflow its stack on deep nesting, and aliases
    multiply.

    Args:
        text: of a size that the caller has bounded.
        source: its name, for errors.

    Raises:
        InputError: it is no YAML, or nested too deeply, or too large with aliases expanded.
    """
    try:
        scan(yaml.parse(text, Loader=_Loader), source)
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        raise InputError(
            f"no YAML: {getattr(problem, 'problem', None) or str(problem).splitlines()[0]}",
            source=source,
            line=mark.line + 1 if mark is not None else None,
            mend="correct the file",
        ) from None
    except (ValueError, TypeError, OverflowError, RecursionError) as problem:
        # scalars that look like numbers and are none; unhashable keys
        raise InputError(f"holds a value that cannot be read: {problem}", source=source) from None
