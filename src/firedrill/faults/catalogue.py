"""The library as a page of the documentation."""

from __future__ import annotations

from firedrill.faults import library

_HEAD = """# What breaks a world

Each fault is one mechanism, brought about as it happens in life: by ordinary calls of the API, or by a part
of a node, a network or a processor that no longer does its job. Nothing writes events or statuses, and
nothing in the cluster says that a fault was injected: symptoms follow from how the system works.

```python
from firedrill import faults

wrong_image = faults.find("incorrect-image-reference")
injection = faults.inject(world, wrong_image, {"namespace": "shop", "name": "frontend"})
injection.causes  # ('shop/Deployment/frontend',)
faults.revert(world, injection)
```

The table is made from the code by `scripts/coverage`.

| fault | what breaks | arguments |
|---|---|---|
"""
_TAIL = """
## Adding one

Write one file in `src/firedrill/faults/`: an `_inject(world, args)` that changes the cluster through
`_changes.py` (or a client of the API) and returns the causes and the way back, and a
`register(Fault(...))` with an id, a title in one line and the arguments. The tests of the library then
hold it to the rules: only the API and conditions of nodes and pods are touched, no name, label or
annotation gives it away, it can be taken back, and wrong arguments are refused with a mend.
"""


def _shown(value: object) -> str:
    return "(empty)" if value == "" else str(value)


def page() -> str:
    """The page, in Markdown."""
    out = [_HEAD]
    for fault in library().values():
        names = [
            f"`{name}`" if parameter.default is None else f"`{name}` = {_shown(parameter.default)}"
            for name, parameter in fault.parameters.items()
        ]
        out.append(f"| `{fault.id}` | {fault.title} | {', '.join(names)} |\n")
    out.append(_TAIL)
    return "".join(out)
