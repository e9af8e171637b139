"""Settings of systemd's own programs (journald, coredump): sections, keys, drop-ins."""

from __future__ import annotations

from collections.abc import Collection

from firedrill.world.host.effective.dropins import Tree, merged, texts

MODES = {
    "journald": frozenset({"volatile", "persistent", "auto", "none"}),
    "coredump": frozenset({"none", "external", "journal"}),
}
"""What `Storage=` may be, by program."""

DEFAULTS = {"journald": "auto", "coredump": "external"}


def assignments(text: str, section: str) -> list[tuple[str, str]]:
    """`key = value` of one section, in order; `#` and `;` begin comments only at a line's start."""
    found: list[tuple[str, str]] = []
    here = ""
    for raw in text.replace("\\\n", " ").splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            here = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if equals and here == section:
            found.append((key.strip(), value.strip()))
    return found


def files(tree: Tree, name: str) -> list[str]:
    """The files that make up `<name>.conf`: the main file, then its drop-ins."""
    folders = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
    mains = [path for folder in folders if tree.read(path := f"{folder}/{name}.conf") is not None]
    return [*mains[:1], *merged(tree, f"systemd/{name}.conf.d")]


def setting(tree: Tree, name: str, section: str, key: str, allowed: Collection[str]) -> str | None:
    """The value in force; one that systemd does not know is ignored with a warning."""
    value: str | None = None
    for _, text in texts(tree, files(tree, name)):
        for found, given in assignments(text, section):
            if found == key and given in allowed:
                value = given
    return value


def storage(tree: Tree, name: str) -> str:
    """`Storage=` of journald or coredump as the program would see it, its default included."""
    section = {"journald": "Journal", "coredump": "Coredump"}[name]
    return setting(tree, name, section, "Storage", MODES[name]) or DEFAULTS[name]
