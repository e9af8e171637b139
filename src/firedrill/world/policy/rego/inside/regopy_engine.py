"""The regopy back-end: only when forced, since it gives undefined where Rego has an error."""

from __future__ import annotations

import json
from typing import Any

from firedrill.world.policy.rego.inside import regorus_engine

Answer = dict[str, Any]
HELD = "held"
"""The variable that holds the query's value: a query that is merely false prints as undefined."""


def load() -> None:
    """Import both engines: regorus reads the modules, for its places of errors and the survey of calls."""
    import regopy  # type: ignore[import-untyped]  # noqa: F401

    regorus_engine.load()


class Prepared:
    """Modules read by regorus, evaluated by regopy."""

    def __init__(self, request: Answer) -> None:
        self.request = request
        self.about = regorus_engine.prepare({**request, "data": ""}).about

    def answer(self, text: str) -> Answer:
        """Evaluate for one input; the interpreter is fresh each time."""
        from regopy import Interpreter, RegoError

        version = int(self.about["version"])
        try:
            engine = Interpreter()
            for name, module in self.request["modules"]:
                engine.add_module(name, module)
            if self.request["data"]:
                engine.add_data_json(self.request["data"])
            if text:
                engine.set_input(json.loads(text))
            printed = str(engine.query(f"{HELD} = {{v | v := {self.request['query']}}}"))
            held = json.loads(printed)["bindings"][HELD]
        except (RegoError, ValueError, RuntimeError, TypeError, KeyError) as error:
            return {"error": regorus_engine.failure(error, "eval_error"), "version": version}
        if not held:
            return {"undefined": True, "version": version, "prints": []}
        return {"value": held[0], "rows": [], "version": version, "prints": []}


def prepare(request: Answer) -> Prepared:
    """Read the modules of a request."""
    return Prepared(request)
