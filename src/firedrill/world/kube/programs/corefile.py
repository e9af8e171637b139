"""The configuration of CoreDNS, as far as one can get it wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PATH = "/etc/coredns/Corefile"
_WORDS = (
    "acl any auto autopath bind bufsize cache cancel chaos clouddns debug dns64 dnssec dnstap erratic errors "
    "etcd file forward geoip grpc header health hosts import k8s_external kubernetes loadbalance local log "
    "loop metadata minimal multisocket nsid pprof prometheus quic ready reload rewrite root route53 "
    "secondary sign template timeouts tls trace transfer tsig view whoami"
)
_PLUGINS = frozenset(_WORDS.split())
"""Source: CoreDNS 1.11, `plugin.cfg`."""


def problem(files: Mapping[str, str]) -> str:
    """What CoreDNS says when it cannot read its Corefile and ends; empty where it can."""
    depth = 0
    for number, line in enumerate(files.get(_PATH, "").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        first = re.split(r"[\s{]", text, maxsplit=1)[0]
        if depth == 1 and first and first not in _PLUGINS and first != "}":
            return f"{_PATH}:{number} - Error during parsing: Unknown directive '{first}'"
        depth += text.count("{") - text.count("}")
        if depth < 0:
            return (
                f"{_PATH}:{number} - Error during parsing: Unexpected '}}' because no matching opening brace"
            )
    return f"{_PATH} - Error during parsing: Unexpected EOF" if depth else ""
