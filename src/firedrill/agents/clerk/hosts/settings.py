"""Settings of programs: the SSH server, systemd's own, sudo, and files of keys and values."""

from __future__ import annotations

import json
import re

from firedrill.agents.clerk.hosts.template import Template, Wanted, named, wanted
from firedrill.agents.clerk.words import Words, spans

_SSHD_WORDS = (
    "permitrootlogin logingracetime disableforwarding x11forwarding allowtcpforwarding"
    " maxauthtries maxsessions maxstartups permitemptypasswords permituserenvironment"
    " hostbasedauthentication ignorerhosts usepam loglevel clientaliveinterval clientalivecountmax banner"
    " gssapiauthentication kerberosauthentication"
    " passwordauthentication pubkeyauthentication strictmodes compression gatewayports allowagentforwarding"
    " kbdinteractiveauthentication permittunnel printlastlog syslogfacility"
)
_SSHD = frozenset(_SSHD_WORDS.split())


def sshd(words: Words) -> Template | None:
    """What a keyword of the SSH server comes out as, Match blocks with it."""
    keys = [item for item in dict.fromkeys(spans(words.text)) if item.split(" ")[0].lower() in _SSHD]
    if not keys:
        return None
    wants: dict[str, Wanted] = {}
    for key in keys:
        after = words.text.split(f"`{key}`", 1)[1][:400]
        for other in set(keys) - {key}:
            after = after.split(f"`{other}`")[0]
        sought = Wanted(words=(key.split(" ")[1],)) if " " in key else wanted(after, keys)
        if sought is not None:
            wants.setdefault(key.split(" ")[0].lower(), sought)
    if not wants:
        return None
    place = json.dumps(named(words, "/etc/ssh/sshd_config"))
    shell = (
        "sshd -T 2>/dev/null | tag set\nkeep /etc/ssh/sshd_config\n"
        'for f in /etc/ssh/sshd_config.d/*.conf; do keep "$f"; done\n'
    )
    rules = "".join(
        f'\nright("{key}", value) if {{\n{sought.rego("lower(value)")}}}\n' for key, sought in wants.items()
    )
    matched = ""
    if not re.search(r"match blocks?[^.]*(?:do not matter|not asked|do not count)", words.lower):
        matched = f"""
violations contains {place} if {{
  some row, line in lines
  line.key in keys
  some at, block in lines
  block.key == "match"
  block.path == line.path
  at < row
  not right(line.key, line.value)
}}
"""
    rego = f"""
keys := {json.dumps(list(wants))}

lines := [{{"path": f.path, "key": lower(m[1]), "value": m[2]}} |
  some f in files
  some m in regex.find_all_string_submatch_n(`^\\s*([A-Za-z0-9]+)[\\s=]+"?([^"#\\s]+)`, f.text, 1)
]
{rules}
effective(key) := [trim_prefix(line, sprintf("%s ", [key])) |
  some line in said("set")
  startswith(line, sprintf("%s ", [key]))
]

violations contains {place} if {{
  some key in keys
  count([1 | some value in effective(key); right(key, value)]) == 0
}}
{matched}"""
    return Template(shell, rego)


def ini(words: Words) -> Template | None:
    """`The setting K of section [S] comes out as V`, with systemd's folders of drop-ins."""
    header = re.search(r"`\[(\w+)\]`", words.text)
    conf = re.search(r"`/etc/systemd/(\w+\.conf)`", words.text)
    found = re.search(r"(?:setting|key) `([A-Z]\w+)`(.*)", words.text)
    found = found or re.search(r"`([A-Z][a-z]\w+)`(.*)", words.text)
    if header is None or conf is None or found is None:
        return None
    key, section, name = found[1], header[1], conf[1]
    sought = wanted(found[2], (key, f"[{section}]"))
    if sought is None:
        return None
    known = re.search(r"none of ((?:`[^`]+`(?:,? and |,? or |, )?)+)", words.text)
    choice = f"  m[1] in {{{', '.join(json.dumps(item) for item in spans(known[1]))}}}\n" if known else ""
    folders = " ".join(f"{item}/systemd" for item in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))
    dropins = " ".join(f"{item}/{name}.d" for item in folders.split())
    shell = f"""for d in {folders}; do
  if [ -e "$d/{name}" ]; then keep "$d/{name}"; break; fi
done
for f in $(merged '*.conf' {dropins}); do keep "$f"; done
"""
    place = json.dumps(named(words, f"/etc/systemd/{name}"))
    rego = f"""
values := [m[1] |
  some row, f in files
  some m in regex.find_all_string_submatch_n(`^\\s*{key}\\s*=\\s*(.*?)\\s*$`, f.text, 1)
{choice}  headers := [trim_space(g.text) |
    some at, g in files
    at < row
    g.path == f.path
    startswith(trim_space(g.text), "[")
  ]
  final(headers) == "[{section}]"
]

right(value) if {{
{sought.rego("value")}}}

fine if right(final(values))
{_unsaid(words)}
violations contains {place} if not fine
"""
    return Template(shell, rego)


def _unsaid(words: Words) -> str:
    fine = re.search(r"[Ww]ithout (?:a|the|any) (?:setting|line)[^.]*(?:complies|is fine|fine)", words.text)
    return "\nfine if count(values) == 0\n" if fine else ""


def sudo(words: Words) -> Template | None:
    """A switch of sudo's Defaults, or a tag of its rules."""
    if "sudo" not in words.lower:
        return None
    shell = """keep /etc/sudoers
sed -n 's/^[#@]includedir[[:space:]]*//p' /etc/sudoers | while read -r d; do
  for f in "${d%/}"/*; do
    case ${f##*/} in *.*|*~) ;; *) [ -f "$f" ] && keep "$f" ;; esac
  done
done
"""
    head = """
paths := [f.path | some f in files]

whole(path) := concat("\\n", [f.text | some f in files; f.path == path])

texts(path) := split(replace(whole(path), "\\\\\\n", " "), "\\n")
"""
    tag = re.search(r"tag `([A-Z_]+)`", words.text)
    if tag:
        body = f"""
violations contains path if {{
  some path in paths
  some line in texts(path)
  rule := regex.replace(line, `(^|\\s)#.*$`, "")
  regex.match(`[=,):\\s]{tag[1]}\\s*:`, rule)
  not regex.match(`^\\s*(Defaults|[A-Za-z]+_Alias)`, rule)
}}
"""
        return Template(shell, head + body)
    switch = re.search(r"(?:switch|setting|option|flag) `([a-z_]+)`", words.text)
    if switch is None:
        return None
    return Template(shell, head + _switch(switch[1], json.dumps(named(words, "/etc/sudoers"))))


def _switch(name: str, place: str) -> str:
    return f"""
everything := split(replace(concat("\\n", [f.text | some f in files]), "\\\\\\n", " "), "\\n")

said_of := [{{"scope": m[1], "word": trim_space(word)}} |
  some line in everything
  some m in regex.find_all_string_submatch_n(`^\\s*Defaults([:@>!]\\s*\\S+)?\\s+([^#]*)`, line, 1)
  some word in split(m[2], ",")
  trim_space(word) in {{"{name}", "!{name}"}}
]

general := [item.word | some item in said_of; item.scope == ""]

on if final(general) == "{name}"

violations contains {place} if not on

violations contains {place} if {{
  some item in said_of
  item.scope != ""
  item.word == "!{name}"
}}
"""


__all__ = ["ini", "sshd", "sudo"]
