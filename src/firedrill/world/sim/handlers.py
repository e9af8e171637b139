"""Names of what can happen: an event in the queue is a name and plain arguments, so that it can be copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Handler = Callable[..., None]
"""Called as `handler(world, *args)`."""

_HANDLERS: dict[str, Handler] = {}


def handler(name: str) -> Callable[[Handler], Handler]:
    """Register a function under a name that events can carry.

    Raises:
        ValueError: the name is taken by another function.
    """

    def register(function: Handler) -> Handler:
        known = _HANDLERS.get(name)
        if known is not None and known.__qualname__ != function.__qualname__:
            raise ValueError(f"two handlers are called {name!r}")
        _HANDLERS[name] = function
        return function

    return register


def find_handler(name: str) -> Any:
    """The function of that name.

    Raises:
        LookupError: nothing is registered under it.
    """
    try:
        return _HANDLERS[name]
    except KeyError:
        raise LookupError(f"no handler is called {name!r}") from None
