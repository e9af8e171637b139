"""Files of keys and values, the stacks of PAM, accounts, audit rules, time servers, SELinux."""

from __future__ import annotations

import json
import re

from firedrill.agents.clerk.hosts.template import Template, Wanted, named, violation, wanted
from firedrill.agents.clerk.words import Words, spans

_PLAIN = re.compile(r"^/etc/(?:login\.defs|default/\w+|security/\w+\.conf|audit/auditd\.conf|dnf/dnf\.conf)$")
_WITHOUT = re.compile(
    r"(?:[Ww]ithout|left out|not set|no (?:such )?line|default)[^.;]*?"
    r"(?:it is|value is|is|counts as|means) `?(-?\w+)`?"
)


def keys(words: Words) -> Template | None:
    """What keys of a file come out as; the last line counts, a file of its drop-ins before it or behind."""
    paths = [item for item in dict.fromkeys(spans(words.text)) if _PLAIN.match(item)]
    if not paths or "pam.d" in words.text:
        return None
    path = paths[0]
    wants: dict[str, tuple[Wanted, bool]] = {}
    for key in dict.fromkeys(
        item for item in spans(words.text) if re.fullmatch(r"[A-Za-z][A-Za-z_]{3,}", item)
    ):
        after = words.text.split(f"`{key}`", 1)[1][:250]
        sought = wanted(re.split(r"`[A-Z][A-Z_]{3,}`", after)[0], (key,))
        if sought is not None and not {key} & set(sought.words):
            default = _WITHOUT.search(words.text)
            wants[key] = (sought, default is not None and _holds(sought, default[1]))
    if not wants:
        return None
    ahead = "pwquality" in path
    folder = f'for f in {path}.d/*.conf; do keep "$f"; done\n' if ".d" in words.text else ""
    main = f"keep {path}\n"
    place = json.dumps(named(words, path))
    rego = ""
    for key, (sought, free) in wants.items():
        rego += f"""
of_{key} := [trim(m[1], "\\"'") |
  some f in files
  some m in regex.find_all_string_submatch_n(`^\\s*{key}(?:\\s*=\\s*|\\s+)([^\\s#]+)`, f.text, 1)
]

fine_{key} if {{
  value := final(of_{key})
{sought.rego("value")}}}
{f"{chr(10)}fine_{key} if count(of_{key}) == 0{chr(10)}" if free else ""}
violations contains {place} if not fine_{key}
"""
    return Template(folder + main if ahead else main + folder, rego)


def _holds(sought: Wanted, value: str) -> bool:
    if sought.words:
        return value in sought.words
    if not re.fullmatch(r"-?\d+", value):
        return False
    number = int(value)
    return (sought.least is None or number >= sought.least) and (sought.most is None or number <= sought.most)


def stacks(words: Words) -> Template | None:
    """A module that stacks of PAM call with words, and a number from its argument or its file."""
    paths = [item for item in dict.fromkeys(spans(words.text)) if item.startswith("/etc/pam.d/")]
    module = re.search(r"`(pam_\w+\.so)`", words.text)
    number = re.search(r"argument `(\w+)=", words.text)
    bounds = wanted(words.text)
    if not paths or module is None or number is None or bounds is None:
        return None
    conf = next((item for item in spans(words.text) if item.startswith("/etc/security/")), "/dev/null")
    kind = re.search(r"type `(\w+)`", words.text)
    calls = [item for item in ("preauth", "authfail") if f"`{item}`" in words.text]
    default = re.search(r"without that (?:it is|the value is) (\d+)", words.text)
    rego = f"""
lines(path) := [regex.split(`\\s+`, trim_space(regex.replace(f.text, `#.*$`, ""))) |
  some f in files
  f.path == path
  regex.match(`^\\s*-?{kind[1] if kind else "auth"}\\s+[^#]*{re.escape(module[1])}`, f.text)
]

kept := [m[1] |
  some f in files
  f.path == "{conf}"
  some m in regex.find_all_string_submatch_n(`^\\s*{number[1]}\\s*=\\s*(\\S+)`, f.text, 1)
]

otherwise := final(kept) if count(kept) > 0

else := "{default[1] if default else ""}"

given(line) := [trim_prefix(word, "{number[1]}=") | some word in line; startswith(word, "{number[1]}=")]

value_of(line) := final(given(line)) if count(given(line)) > 0

else := otherwise

right(value) if {{
{bounds.rego("value")}}}

violations contains path if {{
  some path in {json.dumps(paths)}
  some line in lines(path)
  not right(value_of(line))
}}

violations contains path if {{
  some path in {json.dumps(paths)}
  some call in {json.dumps(calls or [module[1]])}
  count([1 | some line in lines(path); call in line]) == 0
}}
"""
    return Template("".join(f"keep {item}\n" for item in [*paths, conf] if item != "/dev/null"), rego)


def time(words: Words) -> Template | None:
    """Another machine that chrony takes its time from."""
    if "chrony" not in words.lower or "server" not in words.lower:
        return None
    shell = """keep /etc/chrony.conf
awk 'tolower($1) == "confdir" { print "conf " $2 } tolower($1) == "sourcedir" { print "sources " $2 }' \\
  /etc/chrony.conf | while read -r end d; do
  for f in "$d"/*."$end"; do keep "$f"; done
done
"""
    rego = """
sources := [m[2] |
  some f in files
  some m in regex.find_all_string_submatch_n(`^\\s*((?i:server|pool))\\s+(\\S+)`, f.text, 1)
]

own(address) if startswith(address, "127.")

own(address) if lower(address) in {"::1", "localhost"}

"""
    alone = "  count([1 | some item in sources; not own(item)]) == 0\n"
    return Template(shell, rego + violation(named(words, "/etc/chrony.conf"), alone))


def accounts(words: Words) -> Template | None:
    """Accounts of user number 0, and those without a password."""
    lower = words.lower
    if "/etc/passwd" in words.text and re.search(r"\buid\b|user (?:number|id)|number 0", lower):
        rego = """
violations contains "/etc/passwd" if {
  some f in files
  fields := split(f.text, ":")
  regex.match(`^0+$`, fields[2])
  fields[0] != "root"
}
"""
        return Template("keep /etc/passwd\n", rego)
    if "/etc/shadow" in words.text and re.search(r"empty password|without a password|password field", lower):
        rego = """
violations contains "/etc/shadow" if {
  some f in files
  fields := split(f.text, ":")
  count(fields) > 1
  fields[1] == ""
}
"""
        return Template("keep /etc/shadow\n", rego)
    return None


def audit(words: Words) -> Template | None:
    """Watches of files, loaded and kept in the folder of rules."""
    paths = [
        item.rstrip("/")
        for item in dict.fromkeys(spans(words.text))
        if item.startswith("/") and not item.startswith(("/etc/audit", "/usr/lib"))
    ]
    if "audit" not in words.lower or not paths or not re.search(r"\brules?\b|watch", words.lower):
        return None
    key = re.search(r"permissions? `([rwxa]+)`|`-p ([rwxa]+)`", words.text)
    needed = (key[1] or key[2]) if key else "wa"
    place = json.dumps(named(words, "audit"))
    rego = f"""
texts := {{"now": said("now"), "kept": [f.text | some f in files; endswith(f.path, ".rules")]}}

watched(when, path) if {{
  some text in texts[when]
  words := regex.split(`\\s+`, trim_space(text))
  "-w" in words
  some place, word in words
  word == "-w"
  trim_suffix(words[place + 1], "/") == path
  asks(text, `-p\\s+([rwxa]+)`)
}}

watched(when, path) if {{
  some text in texts[when]
  regex.match(`^\\s*-a\\s+(always,exit|exit,always)\\s`, text)
  some word in regex.split(`\\s+`, trim_space(text))
  trim_suffix(word, "/") in {{sprintf("path=%s", [path]), sprintf("dir=%s", [path])}}
  asks(text, `-F\\s+perm=([rwxa]+)`)
}}

asks(text, pattern) if {{
  some m in regex.find_all_string_submatch_n(pattern, text, 1)
  every letter in {json.dumps(list(needed))} {{
    contains(m[1], letter)
  }}
}}

violations contains {place} if {{
  some when in ["now", "kept"]
  some path in {json.dumps(paths)}
  not watched(when, path)
}}
"""
    return Template('auditctl -l | tag now\nfor f in /etc/audit/rules.d/*.rules; do keep "$f"; done\n', rego)


def selinux(words: Words) -> Template | None:
    """SELinux enforces, now and after a reboot."""
    if "selinux" not in words.lower or "enforcing" not in words.lower:
        return None
    place = json.dumps(named(words, "/etc/selinux/config"))
    rego = f"""
modes := [lower(m[1]) |
  some f in files
  some m in regex.find_all_string_submatch_n(`^\\s*SELINUX\\s*=\\s*(\\w+)`, f.text, 1)
]

violations contains {place} if not "Enforcing" in said("now")

kept if final(modes) == "enforcing"

violations contains {place} if not kept
"""
    return Template("getenforce | tag now\nkeep /etc/selinux/config\n", rego)


__all__ = ["accounts", "audit", "keys", "selinux", "stacks", "time"]
