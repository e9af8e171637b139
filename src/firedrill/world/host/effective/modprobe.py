"""What the files of modprobe.d say about a kernel module."""

from __future__ import annotations

from firedrill.world.host.effective.dropins import Tree, merged, texts


def plain(module: str) -> str:
    """A module's name as the kernel has it: `-` and `_` are the same."""
    return module.replace("-", "_")


def directives(tree: Tree) -> list[list[str]]:
    """The words of every line of every `*.conf`, in reading order; `#` begins a comment at a line's start."""
    found: list[list[str]] = []
    for _, text in texts(tree, merged(tree, "modprobe.d")):
        lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
        found += [line.split() for line in lines if line and not line.startswith("#")]
    return found


def installs(tree: Tree, module: str) -> list[str]:
    """The commands that are run instead of loading the module."""
    return [
        " ".join(words[2:])
        for words in directives(tree)
        if words[0] == "install" and len(words) > 2 and plain(words[1]) == plain(module)
    ]


def blacklisted(tree: Tree, module: str) -> bool:
    """Whether the module's aliases are ignored."""
    return any(
        words[0] == "blacklist" and len(words) > 1 and plain(words[1]) == plain(module)
        for words in directives(tree)
    )
