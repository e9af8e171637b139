"""The root certificate of a cluster, as pods see it.

Every world shows the same one, and nobody has its key: it stands in a ConfigMap, and nothing is checked with
it. A gateway that serves a world makes its own for the connection.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def root_certificate() -> str:
    """The certificate in PEM."""
    return files(__package__).joinpath("data", "root-certificate.pem").read_text("ascii")
