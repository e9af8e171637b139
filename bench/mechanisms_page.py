"""The page of the documentation that tells what came of every mechanism in every application."""

from __future__ import annotations

from typing import Any

APPS = ("online-boutique", "astronomy-shop", "hotel-reservation", "book-info")
Cells = dict[tuple[str, str], dict[str, Any]]
_HEAD = """# Every mechanism in every application

Each mechanism of the fault library was injected into a living world of each application that it fits: with
users, series and rules, on a drawn target. The table says which of the shipped alerts fired for it and after
how many minutes, `users` where what users got was outside of what is usual (and for how many minutes, each
weighed by the share of the traffic), and `clear` with the minutes from the repair until all alerts were
silent, the mechanism was gone and users were served as before. The repair is the one that the mechanism
itself describes, sent through the API as an operator would; where no call of the API mends it, its part of
the machine was started again (`clear*`), and evicted pods were deleted.

The page is made by `bench/mechanisms.py --page` from what `bench/mechanisms.py` found.

"""


def page(cells: Cells) -> str:
    """The page, in Markdown."""
    from firedrill import faults

    out, reasons = [_HEAD], []
    names = [name for name in faults.library() if any((name, app) in cells for app in APPS)]
    good = [cell for cell in cells.values() if any(_whole(one) for one in cell.get("tries", ()))]
    with_targets = [cell for cell in cells.values() if cell.get("targets")]
    out.append(
        f"{len(names)} mechanisms; {len(with_targets)} pairs of a mechanism and an application fit, "
        f"of which {len(good)} were seen, raised an alert and were clear after the repair.\n\n"
    )
    out.append(f"| mechanism | {' | '.join(APPS)} |\n|---|{'---|' * len(APPS)}\n")
    for name in names:
        row = [_cell(cells.get((name, app)), reasons) for app in APPS]
        out.append(f"| `{name}` | {' | '.join(row)} |\n")
    out.append("\n## Where a mechanism does not fit\n\n")
    out += [f"{number}. {reason}\n" for number, reason in enumerate(reasons, start=1)]
    return "".join(out)


def _whole(one: dict[str, Any]) -> bool:
    return bool(one["shown"] is not None and (one["alerts"] or one["lost"]) and one["cleared"])


def _cell(cell: dict[str, Any] | None, reasons: list[str]) -> str:
    if cell is None:
        return "not tried"
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
