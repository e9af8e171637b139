"""Settings of the kernel, its modules, and what is installed and running."""

from __future__ import annotations

import json
import re

from firedrill.agents.clerk.hosts.template import Template, named, wanted
from firedrill.agents.clerk.words import Words, spans

_KEY = re.compile(r"^(?:net|kernel|fs|vm|dev|user)(?:\.[A-Za-z0-9_-]+)+$")
_FOLDERS = "/etc/{0} /run/{0} /usr/local/lib/{0} /usr/lib/{0}"


def sysctl(words: Words) -> Template | None:
    """Settings that the kernel has now, and those that are set at boot."""
    keys = [
        item for item in dict.fromkeys(spans(words.text)) if _KEY.match(item) and not item.endswith(".conf")
    ]
    if not keys:
        return None
    text = " ".join(item for item in words.sentences if not re.search(r"\.d`", item))
    sought = wanted(text, keys)
    each = re.search(r"[Ee]ach (?:one )?(?:of them )?(?:is|has to be) `?(\d+)`?", words.text)
    test = (wanted(f"is `{each[1]}`") or sought) if each else sought
    if test is None:
        return None
    patterns = [re.escape(item).replace("NAME", "[^.]+") for item in keys]
    free = bool(re.search(r"(?:not to be mentioned|no file (?:has to |need )|need not)[^.]*", words.lower))
    free = free and "nor that no file" not in words.lower
    exact = [item for item in keys if "NAME" not in item]
    shell = f"""sysctl -a 2>/dev/null | tag now
for f in $(merged '*.conf' {_FOLDERS.format("sysctl.d")}); do keep "$f"; done
"""
    missing = f"""
violations contains sprintf("sysctl:%s", [key]) if {{
  some key in {json.dumps(exact)}
  count(assigned(key)) == 0
}}
"""
    rego = f"""
patterns := {json.dumps(patterns)}

counts(key) if {{
  some pattern in patterns
  regex.match(sprintf("^%s$", [pattern]), key)
}}

running := [{{"key": m[1], "value": trim_space(m[2])}} |
  some line in said("now")
  some m in regex.find_all_string_submatch_n(`^(\\S+)\\s*=(.*)$`, line, 1)
  counts(m[1])
]

plain(key) := replace(key, "/", ".")

written := [{{"key": plain(m[1]), "value": trim_space(m[2])}} |
  some f in files
  some m in regex.find_all_string_submatch_n(`^\\s*-?\\s*([^#;=\\s-][^=\\s]*)\\s*=(.*)$`, f.text, 1)
  counts(plain(m[1]))
]

assigned(key) := [item.value | some item in written; item.key == key]

right(value) if {{
{test.rego("value")}}}

violations contains sprintf("sysctl:%s", [item.key]) if {{
  some item in running
  not right(item.value)
}}

violations contains sprintf("sysctl:%s", [item.key]) if {{
  some item in written
  not right(final(assigned(item.key)))
}}

violations contains sprintf("sysctl:%s", [key]) if {{
  some key in {json.dumps(exact)}
  count([1 | some item in running; item.key == key]) == 0
}}
{"" if free else missing}"""
    return Template(shell, rego)


def module(words: Words) -> Template | None:
    """A module of the kernel that cannot be used."""
    found = re.search(r"(?:kernel )?modules? `([a-z0-9_-]+)`", words.text)
    if found is None or "modprobe" not in words.lower:
        return None
    name = found[1]
    loaded, place = name.replace("-", "_"), json.dumps(named(words, f"module:{name}"))
    shell = f"""modinfo -n {name} 2>/dev/null | tag built
lsmod | awk '$1 == "{loaded}"' | tag loaded
for f in $(merged '*.conf' {_FOLDERS.format("modprobe.d")}); do keep "$f"; done
"""
    denied = re.search(r"blacklist", words.lower) is not None
    rego = f"""
built if count(said("built")) > 0

lines := [regex.split(`\\s+`, trim_space(f.text)) | some f in files]

about(word) := [line | some line in lines; line[0] == word; replace(line[1], "-", "_") == "{loaded}"]

dead(line) if {{
  line[2] in {{"/bin/false", "/bin/true", "/usr/bin/false", "/usr/bin/true"}}
  count(line) == 3
}}

violations contains {place} if {{
  built
  count(said("loaded")) > 0
}}

violations contains {place} if {{
  built
  count(about("install")) == 0
}}

violations contains {place} if {{
  built
  some line in about("install")
  not dead(line)
}}
"""
    if denied:
        rego += f'\nviolations contains {place} if {{\n  built\n  count(about("blacklist")) == 0\n}}\n'
    return Template(shell, rego)


def service(words: Words) -> Template | None:
    """A unit that is not in use, or one that is."""
    units = [item for item in spans(words.text) if re.search(r"\.(?:service|socket|timer)$", item)]
    package = re.search(r"package `([^`]+)`", words.text)
    if not units:
        return None
    unit = units[0]
    lower = words.lower
    off = re.search(r"neither enabled nor|not in use|not enabled|disabled|masked and", lower)
    shell = "".join(
        f"systemctl is-{state} {unit} 2>/dev/null | tag {state}\n" for state in ("enabled", "active")
    )
    if package:
        shell += f"rpm -q {package[1]} 2>/dev/null | tag package\n"
    place = json.dumps(named(words, f"unit:{unit}"))
    installed = "installed" if package else "true"
    rego = """
installed if {
  some line in said("package")
  not contains(line, "not installed")
}

enabled if {
  some word in said("enabled")
  word in {"enabled", "enabled-runtime"}
}

active if {
  some word in said("active")
  word in {"active", "activating", "reloading"}
}
"""
    if off:
        rego += "".join(
            f"\nviolations contains {place} if {{\n  {installed}\n  {state}\n}}\n"
            for state in ("enabled", "active")
        )
        return Template(shell, rego)
    rego += "".join(f"\nviolations contains {place} if not {state}\n" for state in ("enabled", "active"))
    if package:
        rego += f"\nviolations contains {place} if not installed\n"
    return Template(shell, rego)


__all__ = ["module", "service", "sysctl"]
