"""The page of the documentation that tells what came of every mechanism in every application."""

from __future__ import annotations

from typing import Any

APPS = ("online-boutique", "astronomy-shop", "hotel-reservation", "book-info")
SUITE = "sre"
Cells = dict[tuple[str, str], dict[str, Any]]
_HEAD = """# Every mechanism in every application

Each mechanism of the fault library is injected into a living world of each application that it fits (with
users, series and rules), on a drawn target, and repaired as soon as it has been noticed. A cell reads:

- an alert and a number: this shipped rule fired so many minutes after the injection;
- `users` and a number: so many minutes were lost to users, each weighed by the share of the requests that
  were answered worse than usual; where no alert stands beside it, users alone noticed;
- `clear` and a number: so many minutes after the repair all alerts were silent, the mechanism was gone and
  users were served as before;
- `clear*`: no call of the API mends it, so its part of the machine was started again and evicted pods were
  deleted; everything else was repaired as the mechanism itself describes, through the API as an operator
  would;
- `not as expected`: the symptom that the mechanism names did not show;
- `no` and a number in brackets: it does not fit, for the reason with that number below the table;
- `fits`: there are targets, and this pair was not run.

The last column is another measurement: of so many cases of the mechanism that were drawn for the packaged
suite `@suite@` (version @version@), so many earned their certificate, and why the others did not. What was
mended since that suite was made does not show there.

The page is made by `bench/mechanisms.py --page` from what `bench/mechanisms.py` found.

"""


def page(cells: Cells) -> str:
    """The page, in Markdown."""
    from firedrill import faults
    from firedrill.suites.living.packaged import packaged_head

    head = packaged_head(SUITE)
    out = [_HEAD.replace("@suite@", SUITE).replace("@version@", str(head["version"]))]
    reasons: list[str] = []
    names = [name for name in faults.library() if any((name, app) in cells for app in APPS)]
    run = [cell for cell in cells.values() if cell.get("tries")]
    good = [cell for cell in run if any(_whole(one) for one in cell["tries"])]
    unheard = [cell for cell in run if not any(one["alerts"] for one in cell["tries"])]
    fit = len(names) * len(APPS) - sum(bool(cell.get("misfit")) for cell in cells.values())
    out.append(
        f"{len(names)} mechanisms; {fit} pairs of a mechanism and an application fit, {len(run)} of them "
        f"were run. {len(good)} of these were seen, noticed by an alert or by users, and clear after the "
        f"repair; in {len(unheard)} no alert fired.\n\n"
    )
    out.append(f"| mechanism | {' | '.join(APPS)} | kept |\n|---|{'---|' * len(APPS)}---|\n")
    for name in names:
        row = [_cell(cells.get((name, app)), reasons) for app in APPS]
        out.append(f"| `{name}` | {' | '.join(row)} | {_kept(head['acceptance'].get(name))} |\n")
    out.append("\n## Where a mechanism does not fit\n\n")
    out += [f"{number}. {reason}\n" for number, reason in enumerate(reasons, start=1)]
    return "".join(out)


def _whole(one: dict[str, Any]) -> bool:
    return bool(one["shown"] is not None and (one["alerts"] or one["lost"]) and one["cleared"])


def _kept(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not drawn"
    why = "; ".join(found["refused"])
    return f"{found['kept']} of {found['tried']}" + (f" ({why})" if why else "")


def _cell(cell: dict[str, Any] | None, reasons: list[str]) -> str:
    if cell is None:
        return "fits"
    if "broken" in cell:
        return "broken"
    if cell.get("misfit"):
        if cell["misfit"] not in reasons:
            reasons.append(cell["misfit"])
        return f"no ({reasons.index(cell['misfit']) + 1})"
    best = max(cell["tries"], key=lambda one: (_whole(one), len(one["alerts"])))
    alerts = [f"{name} {minutes:.0f}" for name, minutes in sorted(best["alerts"].items())]
    users = [f"users {best['lost']:.1f}"] if best["lost"] else []
    seen = ", ".join([*alerts, *users]) or "nobody notices"
    if best["shown"] is None:
        seen += "; not as expected"
    if not best["cleared"]:
        return f"{seen}; not clear"
    return f"{seen}; clear{'*' if best['steps'] is None else ''} {best['cleared']}"
