"""The difference between two specs, in the manner of the listing that an API server appends."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema.check.fields import go_text

_LONGEST = 4000


def difference(new: Obj, old: Obj, type_: str = "core.PodSpec") -> str:
    """Lines with `-` for what was and `+` for what is asked, one field each, sorted."""
    lines = [f"  {type_}{{"]
    for key in sorted({*new, *old}):
        if new.get(key) == old.get(key):
            continue
        name = key[:1].upper() + key[1:]
        if key in old:
            lines.append(f"- \t{name}: {_text(old[key])},")
        if key in new:
            lines.append(f"+ \t{name}: {_text(new[key])},")
    lines.append("  }")
    return "\n".join(lines)[:_LONGEST] + "\n"


def _text(value: Any) -> str:
    return str(go_text(value))[:400]
