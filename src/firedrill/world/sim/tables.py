"""Tables that come with the package: what a room knows as data."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast


def table(package: str, name: str) -> Any:
    """The content of `data/<name>` of the package, a YAML file; read anew at each call."""
    text = files(package).joinpath("data", name).read_bytes()
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - both are safe loaders
