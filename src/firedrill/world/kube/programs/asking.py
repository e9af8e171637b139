"""Programs that ask the API server again and again, as their scripts say: how often they do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_LISTS = re.compile(r"list_\w*for_all_namespaces\s*\(|/api/v1/pods\b|kubectl\s+get\b")
_LOOPS = re.compile(r"\b(while|for|until)\b")
_VARIABLES = ("RPS", "REQUESTS_PER_SECOND")
_USUAL = 5
_MOST = 10_000
_CLIENT_MS = 3
"""Time of a processor that a request takes at the client: it reads what it gets."""


def requests_per_second(
    argv: Sequence[str], env: Mapping[str, str], files: Mapping[str, str], cores: int
) -> int:
    """Requests per second that a program makes of the API server; 0 where it is no such program.

    Args:
        argv: its command line; a script that it names is looked at where it is mounted.
        env: its variables: one of them may say how often.
        files: contents of mounted files, by path.
        cores: thousandths of a processor that it may use.
    """
    words = " ".join(argv).split()
    text = " ".join([*argv, *(files[word] for word in words if word in files)])[:100_000]
    if not (_LISTS.search(text) and _LOOPS.search(text)):
        return 0
    told = next((env[name] for name in _VARIABLES if env.get(name, "").isdecimal()), "")
    wanted = int(told[:6]) if told else _USUAL
    return max(min(wanted, cores // _CLIENT_MS, _MOST), 1)


def processor(requests: int) -> int:
    """Thousandths of a processor that so many requests per second take at the client."""
    return requests * _CLIENT_MS
