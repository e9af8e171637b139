"""What variables say of the other end of a call: host, port and password in all the usual forms."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

_PAIRS = re.compile(r"(?:^|[;\s])\s*([A-Za-z][A-Za-z _-]{0,30}?)\s*=\s*([^;\s]*)")
_URL = re.compile(r"(?:jdbc:)?[a-z][a-z0-9+.-]{0,30}://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:/?#,@\s]+)(?::(?P<port>\d{1,5}))?(?:[/?#,].*)?", re.DOTALL
)
_LONGEST = 2048


class Address(NamedTuple):
    """The other end of a call; an empty host where the text names none.

    Attributes:
        host, port: where it is; port 0 where the text names one that cannot be.
        secret: the password in the text, or empty.
    """

    host: str
    port: int
    secret: str = ""


@lru_cache(maxsize=4096)
def parse_address(text: str, port: int) -> Address:
    """The end that a text names: `host`, `host:port`, an URL, or `Host=…;Port=…;Password=…`.

    Args:
        text: value of a variable.
        port: where the text names none.
    """
    text = text.strip()[:_LONGEST]
    pairs = {key.lower(): value for key, value in _PAIRS.findall(text)}
    named = pairs.get("host") or pairs.get("server") or pairs.get("data source")
    if named:
        number = pairs.get("port", "")
        found = _host(named, int(number) if number.isdecimal() and len(number) < 6 else port)
        return found._replace(secret=pairs.get("password") or pairs.get("pwd") or "")
    url = _URL.fullmatch(text)
    secret = ""
    if url:
        text = url["rest"]
        user, at, rest = text.partition("/")[0].rpartition("@")
        if at:
            secret = unquote(user.partition(":")[2])
            text = rest
    elif "@" in text:
        # As in MySQL's `user:password@tcp(host:port)/name` and `user:password@host:port`.
        user, _, text = text.rpartition("@")
        secret = user.partition(":")[2]
        inner = re.fullmatch(r"[a-z]*\((.*?)\).*", text)
        text = inner[1] if inner else text
    return _host(text, port)._replace(secret=secret)


def _host(text: str, port: int) -> Address:
    found = _PORT.fullmatch(text)
    if found is None:
        return Address("", port)
    number = int(found["port"]) if found["port"] else port
    return Address(found["host"].strip("[]"), number if number < 65_536 else 0)
