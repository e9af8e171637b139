"""getent, chage, crontab, faillock, authselect: accounts and how they log in."""

from __future__ import annotations

import datetime as dt

from firedrill.world.host.records import Host
from firedrill.world.host.stubs.answering import Answer, gap
from firedrill.world.host.stubs.words import UnknownOptionError, read

DATABASES = ("passwd", "group", "shadow", "gshadow", "hosts", "services", "protocols")


def _lines(host: Host, name: str) -> list[str]:
    text = host.read(f"/etc/{name}") or ""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def getent(host: Host, words: list[str], cwd: str) -> Answer:
    """``getent database [key...]`` from the host's files."""
    left = [word for word in words if not word.startswith("-")]
    if len(left) != len(words):
        return gap("getent", words)
    if not left:
        return Answer(stderr="getent: wrong number of arguments\n", code=1)
    base, *keys = left
    if base in ("ahosts", "ahostsv4", "initgroups", "networks", "ethers", "netgroup", "rpc", "aliases"):
        return gap("getent", words)
    if base not in DATABASES:
        return Answer(stderr=f"Unknown database: {base}\n", code=1)
    lines = _lines(host, base)
    if not keys:
        return Answer("".join(f"{_as_table(line) if base == 'hosts' else line}\n" for line in lines))
    out, code = [], 0
    for key in keys:
        found = [line for line in lines if _is(base, line, key)]
        if not found:
            code = 2
        out += [f"{_as_table(line) if base == 'hosts' else line}\n" for line in found[:1]]
    return Answer("".join(out), "", code)


def _is(base: str, line: str, key: str) -> bool:
    if base in ("hosts", "services", "protocols"):
        return key in line.split()
    fields = line.split(":")
    return key == fields[0] or (base in ("passwd", "group") and len(fields) > 2 and key == fields[2])


def _as_table(line: str) -> str:
    address, *names = line.split()
    return f"{address:<15} {' '.join(names)}"


def _day(text: str) -> str:
    if not text or not text.lstrip("-").isdigit() or not 0 <= int(text) < 2_000_000:
        return "never"
    return (dt.date(1970, 1, 1) + dt.timedelta(days=int(text))).strftime("%b %d, %Y")


def chage(host: Host, words: list[str], cwd: str) -> Answer:
    """``chage -l user``."""
    try:
        options = read(words, "-i --iso8601", "-l --list")
    except UnknownOptionError:
        return Answer(stderr="chage: Permission denied.\n", code=1)
    user = options.value("-l", "--list")
    found = next((line.split(":") for line in _lines(host, "shadow") if line.split(":")[0] == user), None)
    if not user or options.has("-i", "--iso8601"):
        return gap("chage", words)
    if found is None or len(found) < 8:
        return Answer(stderr=f"chage: user '{user}' does not exist in /etc/passwd\n", code=1)
    _, _, changed, least, most, warn, idle, expires = found[:8]
    until = (
        str(int(changed) + int(most)) if changed.isdigit() and most.isdigit() and int(most) < 10000 else ""
    )
    inactive = str(int(until) + int(idle)) if until and idle.isdigit() else ""
    rows = (
        ("Last password change", _day(changed)),
        ("Password expires", _day(until)),
        ("Password inactive", _day(inactive)),
        ("Account expires", _day(expires)),
        ("Minimum number of days between password change", least or "-1"),
        ("Maximum number of days between password change", most or "-1"),
        ("Number of days of warning before password expires", warn or "-1"),
    )
    return Answer("".join(f"{name:<56}: {value}\n" for name, value in rows))


def crontab(host: Host, words: list[str], cwd: str) -> Answer:
    """``crontab -l [-u user]``."""
    try:
        options = read(words, "-l", "-u")
    except UnknownOptionError:
        return Answer(stderr="crontab: this host is read only\n", code=1)
    user = options.value("-u", default="root")
    if not options.has("-l"):
        return Answer(stderr="crontab: this host is read only\n", code=1)
    if not user.replace("-", "").replace("_", "").isalnum():
        return Answer(stderr=f"crontab:  user `{user}' unknown\n", code=1)
    text = host.read(f"/var/spool/cron/{user}")
    return Answer(stderr=f"no crontab for {user}\n", code=1) if text is None else Answer(text)


def faillock(host: Host, words: list[str], cwd: str) -> Answer:
    """``faillock [--user name]``: nobody failed to log in."""
    try:
        options = read(words, "", "--user --dir --conf")
    except UnknownOptionError:
        return Answer(stderr="faillock: this host is read only\n", code=1)
    users = [options.value("--user")] if options.has("--user") else []
    head = f"{'When':<19} {'Type':<5} {'Source':<48} Valid\n"
    return Answer("".join(f"{user}:\n{head}" for user in users))


def authselect(host: Host, words: list[str], cwd: str) -> Answer:
    """``authselect current [--raw]`` and ``check``, from the chosen profile."""
    lines = (host.read("/etc/authselect/authselect.conf") or "").split("\n")
    profile, features = lines[0].strip(), [line.strip() for line in lines[1:] if line.strip()]
    verb = words[0] if words else ""
    if verb not in ("current", "check", "list"):
        if verb in (
            "select",
            "enable-feature",
            "disable-feature",
            "apply-changes",
            "opt-out",
            "create-profile",
        ):
            return Answer(stderr="authselect: this host is read only\n", code=1)
        return gap("authselect", words)
    if verb == "list":
        return Answer("".join(f"- {name}\n" for name in ("minimal", "sssd", "winbind")))
    linked = host.resolve("/etc/pam.d/system-auth") == "/etc/authselect/system-auth"
    if not profile:
        return Answer("No existing configuration detected.\n", "", 2)
    if verb == "check":
        if linked:
            return Answer("Current configuration is valid.\n")
        return Answer(
            stderr="[error] [/etc/pam.d/system-auth] is not a symbolic link!\n"
            "Current configuration is not valid. It was probably modified outside authselect.\n",
            code=3,
        )
    if {"-r", "--raw"} & set(words):
        return Answer(" ".join([profile, *features]) + "\n")
    listed = "".join(f"- {feature}\n" for feature in features) or "None\n"
    head = "Enabled features:" + ("\n" if features else " ")
    return Answer(f"Profile ID: {profile}\n{head}{listed}")
