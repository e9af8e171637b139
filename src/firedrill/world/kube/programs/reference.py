"""Image references: `nginx` is `docker.io/library/nginx:latest`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*(?::\d{{1,5}})?"
_WHOLE = re.compile(
    rf"(?:(?P<host>{_HOST})/)?(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,128}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """One image.

    Attributes:
        host: of the registry, as in `docker.io`.
        path: of the repository in it, as in `library/nginx`.
        tag: `latest` where the text names neither tag nor digest.
        digest: as in `sha256:…`, or empty.
    """

    host: str
    path: str
    tag: str
    digest: str = ""

    @property
    def repository(self) -> str:
        """As in `docker.io/library/nginx`."""
        return f"{self.host}/{self.path}"

    @property
    def full(self) -> str:
        """As the container runtime prints it."""
        out = self.repository + (f":{self.tag}" if self.tag else "")
        return out + (f"@{self.digest}" if self.digest else "")


@lru_cache(maxsize=4096)
def parse_reference(text: str) -> Reference | None:
    """The image that the text means; None where it is no image reference.

    Source: the grammar of the distribution project's `reference` package.
    """
    if not text or len(text) > 512:
        return None
    match = _WHOLE.fullmatch(text)
    if match is None:
        return None
    host, path = match["host"] or "", match["path"]
    if host and "." not in host and ":" not in host and host != "localhost":
        if host != host.lower():
            return None
        host, path = "", f"{host}/{path}"
    if not host:
        host = "docker.io"
    if host in {"docker.io", "index.docker.io"}:
        host = "docker.io"
        path = path if "/" in path else f"library/{path}"
    tag = match["tag"] or ("" if match["digest"] else "latest")
    return Reference(host, path, tag, match["digest"] or "")
