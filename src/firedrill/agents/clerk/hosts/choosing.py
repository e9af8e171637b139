"""Which family reads the words of a requirement about a host."""

from __future__ import annotations

from firedrill.agents.clerk.hosts import files, kernel, programs, settings
from firedrill.agents.clerk.hosts.template import Template
from firedrill.agents.clerk.words import Words

_FAMILIES = (
    settings.sshd,
    settings.sudo,
    settings.ini,
    kernel.module,
    kernel.sysctl,
    files.mount,
    kernel.service,
    files.modes,
    programs.stacks,
    programs.keys,
    programs.time,
    programs.selinux,
    programs.accounts,
    programs.audit,
)


def template(words: Words) -> Template | None:
    """The first family that the words are about."""
    return next((found for family in _FAMILIES if (found := family(words)) is not None), None)


__all__ = ["template"]
