"""Owners and modes of files, lists of users, and mounts."""

from __future__ import annotations

import json
import re

from firedrill.agents.clerk.hosts.template import Template, named
from firedrill.agents.clerk.words import Words, spans

_MODES = """
digits(mode) := [to_number(digit) |
  some digit in split(substring(sprintf("0000%s", [mode]), count(mode), 4), "")
]

within(mode, most) if {
  own := digits(mode)
  limit := digits(most)
  every place in [0, 1, 2, 3] {
    bits.and(own[place], 7 - limit[place]) == 0
  }
}

at(path) := {"owner": m[1], "group": m[2], "mode": m[3]} if {
  some line in input.lines
  startswith(line, sprintf("P|%s|", [path]))
  m := regex.find_all_string_submatch_n(`^P\\|[^|]*\\|([^|]*)\\|([^|]*)\\|([0-7]+)$`, line, 1)[0]
}

fine(want) if {
  found := at(want.path)
  found.owner in want.owners
  found.group in want.groups
  within(found.mode, want.mode)
}

fine(want) if {
  want.absent
  not sprintf("E|%s", [want.path]) in input.lines
}

violations contains want.path if {
  some want in wants
  not fine(want)
}
"""
_OWNER = re.compile(
    r"(?:belongs?|owned)(?: to| by)? (?:the )?(?:user )?`?(\w+)`?"
    r" and (?:to )?(?:the )?(?:group )?`?(\w+)`?"
)
_MODE = r"(?:mode (?:is|of|has to be|must be) |bit that )`?(0?[0-7]{3})`?"


def modes(words: Words) -> Template | None:
    """`X belongs to user U and group G, and its mode is M or stricter`."""
    wants = []
    for number, sentence in enumerate(words.sentences):
        owner = _OWNER.search(sentence)
        near = " ".join(words.sentences[number : number + 3])
        mode = re.search(r"no (?:permission |other )?bit that `?(0?[0-7]{3})`?", near) or re.search(
            _MODE, near
        )
        if owner is None or mode is None:
            continue
        about = spans(sentence[: owner.start()])
        paths = [item for item in about if item.startswith("/")]
        known = [item for item in spans(" ".join(words.sentences[:number])) if item.startswith("/")]
        for path in paths or known[-1:]:
            spelt = re.escape(path)
            absent = re.search(
                rf"[Ii]f `{spelt}` exists|without `{spelt}`|where (?:it|they) exists?", words.text
            )
            wants.append(
                {
                    "path": path,
                    "owners": [owner[1]],
                    "groups": [owner[2]],
                    "mode": mode[1],
                    "absent": bool(absent),
                }
            )
    if not wants:
        return None
    shell = "".join(
        f"stat -L -c 'P|%n|%U|%G|%a' {want['path']} 2>/dev/null\n"
        f"[ -e {want['path']} -o -L {want['path']} ] && echo 'E|{want['path']}'\n"
        for want in wants
    )
    listed = _listed(words)
    return Template(shell + listed[0], f"wants := {json.dumps(wants)}\n{_MODES}{listed[1]}")


def _listed(words: Words) -> tuple[str, str]:
    """Of a list of users: whom it may name, and which other file must not be there."""
    shell, rego = "", ""
    gone = re.search(r"(?:nothing is at|there is no(?: file)?) `(/[^`]+)`", words.text) or re.search(
        r"`(/[^`]+)` (?:does not exist|is not there)", words.text
    )
    if gone:
        shell += f"[ -e {gone[1]} -o -L {gone[1]} ] && echo 'E|{gone[1]}'\n"
        rego += f'\nviolations contains "{gone[1]}" if "E|{gone[1]}" in input.lines\n'
    names = re.search(r"each name in it is one of ((?:`[^`]+`(?:,? and |,? or |, )?)+)", words.text)
    allow = re.search(r"`(/etc/[^`]*allow)`", words.text)
    if names and allow:
        shell += f"keep {allow[1]}\n"
        rego += f"""
violations contains "{allow[1]}" if {{
  some f in files
  f.path == "{allow[1]}"
  name := trim_space(f.text)
  name != ""
  not name in {{{", ".join(json.dumps(item) for item in spans(names[1]))}}}
}}
"""
    return shell, rego


_MOUNTED = """
options := OPTIONS

holds(list, option) if {
  about := [word | some word in split(list, ","); word in {option, trim_prefix(option, "no")}]
  final(about) == option
}

entries := [words[3] |
  some f in files
  f.path == "/etc/fstab"
  text := trim_space(f.text)
  not startswith(text, "#")
  words := regex.split(`\\s+`, text)
  count(words) > 3
  words[1] in {"PATH", "PATH/"}
]

in_unit := [m[1] |
  some row, f in files
  f.path != "/etc/fstab"
  some m in regex.find_all_string_submatch_n(`^\\s*Options\\s*=\\s*(.*?)\\s*$`, f.text, 1)
  headers := [trim_space(g.text) |
    some at, g in files
    at < row
    g.path == f.path
    startswith(trim_space(g.text), "[")
  ]
  final(headers) == "[Mount]"
]

later(option) if {
  count(entries) > 0
  every entry in entries {
    holds(entry, option)
  }
}

later(option) if {
  count(entries) == 0
  some word in said("enabled")
  word == "enabled"
  holds(final(in_unit), option)
}

mounted if count(said("now")) > 0

kept if count(entries) > 0

kept if "enabled" in said("enabled")

violations contains PLACE if not mounted

violations contains PLACE if not kept

violations contains PLACE if {
  some option in options
  not option in split(final(said("now")), ",")
}

violations contains PLACE if {
  some option in options
  not later(option)
}
"""


def mount(words: Words) -> Template | None:
    """A mount of its own with options, in force and after a reboot."""
    found = re.search(r"`(/[^`]*)` is (?:a mount|mounted|a file ?system)", words.text)
    about = found or (re.search(r"`(/[a-z/]+)`", words.text) if "fstab" in words.text else None)
    if about is None or "mount" not in words.lower:
        return None
    path = about[1]
    options = [item for item in ("noexec", "nodev", "nosuid") if item in words.lower]
    unit = f"{path.strip('/').replace('/', '-')}.mount"
    shell = f"""findmnt -kn -o OPTIONS {path} | tag now
keep /etc/fstab
systemctl is-enabled {unit} 2>/dev/null | tag enabled
for f in /etc/systemd/system/{unit} /usr/lib/systemd/system/{unit}; do
  if [ -e "$f" ]; then keep "$f"; break; fi
done
for f in /etc/systemd/system/{unit}.d/*.conf; do keep "$f"; done
"""
    name = json.dumps(named(words, f"mount:{path}"))
    filled = {"OPTIONS": json.dumps(options), "PLACE": name, "PATH": path}
    rego = re.sub(r"\b(?:OPTIONS|PLACE|PATH)\b", lambda found: filled[found[0]], _MOUNTED)
    return Template(shell, rego)


__all__ = ["modes", "mount"]
