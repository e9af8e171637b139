"""sudo and su: who is root already becomes nobody else."""

from __future__ import annotations

from firedrill.world.host.records import Host
from firedrill.world.host.stubs.answering import Answer, gap

_ALONE = frozenset({"-H", "-S", "-n", "-E", "-k", "-K", "-i", "-s", "-b", "-P"})
_VALUED = frozenset({"-u", "-g", "-p", "-C", "-r", "-t", "-h", "-U"})


def sudo(host: Host, words: list[str], cwd: str) -> Answer:
    """``sudo [-HSnE] [-u root] [--] command``: the command itself runs, as root."""
    left = list(words)
    user, shell = "root", False
    while left and left[0].startswith("-"):
        word = left.pop(0)
        if word == "--":
            break
        if word in ("-V", "--version"):
            return Answer("Sudo version 1.9.5p2\n")
        if word in _VALUED and left:
            value = left.pop(0)
            user = value if word == "-u" else user
        elif word.startswith("--user="):
            user = word.partition("=")[2]
        elif set(word) <= set("-HSnEkKisbP") and len(word) > 1:
            shell = shell or bool(set(word) & set("is"))
        elif word not in _ALONE:
            return gap("sudo", words)
    while left and "=" in left[0] and not left[0].startswith(("/", "=")):
        left = ["/usr/bin/env", *left]
        break
    if user not in ("root", "#0"):
        return gap("sudo", words)
    if shell:
        return Answer(instead=("/bin/bash", *(["-c", " ".join(left)] if left else [])))
    if not left:
        return Answer(stderr="usage: sudo -h | -K | -k | -V\n", code=1)
    return Answer(instead=tuple(left))


def su(host: Host, words: list[str], cwd: str) -> Answer:
    """``su [-] [root] -c command``."""
    left = [word for word in words if word not in ("-", "-l", "--login", "root")]
    if len(left) == 2 and left[0] in ("-c", "--command"):
        return Answer(instead=("/bin/bash", "-c", left[1]))
    if len(left) > 2 and left[:2] == ["-u", "root"]:
        return Answer(instead=tuple(word for word in left[2:] if word != "--"))
    return gap("su", words)
