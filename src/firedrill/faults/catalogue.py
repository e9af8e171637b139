"""The library as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from firedrill.faults import itbench_namings, library

_HEAD = """# What breaks a world

Each fault is one mechanism, brought about as it happens in life: by ordinary calls of the API, or by a part
of a node, a network or a processor that no longer does its job. Nothing writes events or statuses, and
nothing in the cluster says that a fault was injected: symptoms follow from how the system works.

```python
from firedrill import faults

wrong_image = faults.find("incorrect-image-reference")
injection = faults.inject(world, wrong_image, {"namespace": "shop", "name": "frontend"})
injection.causes  # ('shop/Deployment/frontend',)
faults.active(world, injection)  # True
for step in faults.repair(world, injection) or ():  # None where no call of the API mends it
    print(step.command())  # kubectl -n shop patch deployment frontend ...
    faults.apply(world, step)
faults.revert(world, injection)  # or take it back as if it had never been
```

A mechanism finds its targets by itself: `faults.targets(fault, world)` gives every set of arguments that
makes sense in a world, with the entity whose users feel it, and `faults.misfit(fault, world)` says why there
is none. `faults.propagation(world, injection)` follows it from its cause to pods, Services and callers.

The table is made from the code by `scripts/coverage`. `users` feel a mechanism in the way in which it aims
itself, or only an `alert` tells of it. Where there is no repair, no call of the API mends it.

| fault | what breaks | family | felt by | repair | arguments |
|---|---|---|---|---|---|
"""
_TAIL = """
## Adding one

Write one file in `src/firedrill/faults/`: an `_inject(world, args)` that changes the cluster through
`_changes.py` (or a client of the API) and returns the causes and the way back, and a
`register(Fault(...))` with an id, a title in one line, the arguments, and for people a `family`, a
`category`, a short `text`, where it `spreads` and who `felt` it. The rest has defaults:

- `fits(world)` yields each `Target` in a stable order, found by looking at the world (`fitting.py`), with
  plausible mistakes drawn by name (`_variants.py`); by default what the parameters ask for. `lacks` is the
  reason where there is none.
- `repair(world, injection)` gives the steps of an operator; by default the changes are taken back, each by
  the smallest patch, and workloads that were restarted are started anew. None, with the reason as
  `diagnosis`, where no call of the API mends it.
- `active(world, injection)` says whether it still acts; by default whether what was changed still holds
  what was injected.

What bites only with the next pod brings that moment about as a team does: by a rollout, by deleting the
pods, or by making the workload anew (`ANEW`, `AGAIN`, `LATER` and `NEXT` in `_changes.py`). The tests of the
library then hold it to the rules: only the API and conditions of nodes and pods are touched, no name, label
or annotation gives it away, its targets are valid and always the same, its repair goes through the API and
leaves every object as it was, and wrong arguments are refused with a mend. `bench/mechanisms.py` runs it in
every application ([what came of it](mechanisms.md)).
"""


_ITBENCH = """
## ITBench's names

`faults.find` knows the ids of ITBench too, and `faults.from_itbench(id, args)` gives the mechanism and its
arguments for what a scenario file of ITBench says. Where its objects have telling names, these are used for
such files only.

| id | mechanism | arguments from | always |
|---|---|---|---|
"""


def _namings() -> Iterator[str]:
    for naming in itbench_namings().values():
        paths = ", ".join(f"`{key}` = `{path}`" for key, path in naming.paths.items())
        fixed = ", ".join(f"`{key}` = {_shown(value)}" for key, value in naming.sets.items())
        yield f"| `{naming.id}` | `{naming.mechanism}` | {paths} | {fixed} |\n"


def _shown(value: object) -> str:
    text = "(empty)" if value == "" else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def page() -> str:
    """The page, in Markdown."""
    out = [_HEAD]
    for fault in library().values():
        names = [
            f"`{name}`" if parameter.default is None else f"`{name}` = {_shown(parameter.default)}"
            for name, parameter in fault.parameters.items()
        ]
        title = fault.title.replace("|", "\\|")
        about = f"{fault.family} | {fault.felt} | {'no' if fault.repair is None else 'yes'}"
        out.append(f"| `{fault.id}` | {title} | {about} | {', '.join(names)} |\n")
    out += [_ITBENCH, *_namings(), _TAIL]
    return "".join(out)
