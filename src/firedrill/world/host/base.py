"""The base host: a fresh minimal RHEL 9, as data."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError
from firedrill.world.host.records import Host, host_from

BASE = "rhel9"


@functools.cache
def base_host(name: str = BASE) -> Host:
    """The packaged host ``name``: the members of all its YAML files, each member in one or more of them.

    Raises:
        InputError: there is no such host.
    """
    folder = resources.files("firedrill.world.host") / "data" / name
    if not name.isidentifier() or not folder.is_dir():
        raise InputError(f"there is no packaged host {name!r}", mend=f"use {BASE}")
    whole: dict[str, Any] = {}
    for place in sorted(folder.iterdir(), key=lambda place: place.name):
        if not place.name.endswith(".yaml"):
            continue
        source = f"{name}/{place.name}"
        (part,) = read_documents(place.read_text("utf-8"), source)
        for field, value in part.items():
            known = whole.setdefault(field, type(value)())
            if isinstance(value, dict):
                if twice := sorted(known.keys() & value.keys()):
                    raise InputError(
                        f"{twice[0]!r} is given twice", source=f"{name}/{place.name}", field=field
                    )
                known.update(value)
            else:
                whole[field] = known + value
    return host_from(whole, name)
