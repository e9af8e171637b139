"""What families of requirements about hosts are filled into."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from firedrill.agents.clerk.words import Words, spans

_PLAYBOOK = """- name: Evidence
  hosts: all
  gather_facts: false
  tasks:
    - name: Look
      ansible.builtin.shell:
        cmd: |
%s
        executable: /bin/bash
      register: seen
      changed_when: false
      failed_when: false
    - name: Keep what was seen
      ansible.builtin.copy:
        content: "{{ {'lines': seen.stdout_lines} | to_json }}"
        dest: "{{ playbook_dir }}/collected_data.json"
        mode: "0644"
      delegate_to: localhost
"""
_SHELL = """export LC_ALL=C
shopt -s nullglob
echo 'S|begun'
keep() { awk -v p="$1" '{ print "F|" p "|" $0 }' "$1" 2>/dev/null; }
tag() { sed "s#^#$1|#"; }
merged() { # the files of several folders in the order of their names; the first folder hides the others
  pattern=$1; shift
  for d in "$@"; do
    for f in "$d"/$pattern; do [ -e "$f" ] && echo "${f##*/}|$f"; done
  done | sort -t'|' -s -u -k1,1 | cut -d'|' -f2
}
"""
_HEAD = """package check

import rego.v1

default result := false

result if {
  "S|begun" in input.lines
  count(violations) == 0
}

files := [{"path": m[1], "text": m[2]} |
  some line in input.lines
  some m in regex.find_all_string_submatch_n(`^F\\|([^|]*)\\|(.*)$`, line, 1)
]

said(tag) := [trim_space(substring(line, count(tag) + 1, -1)) |
  some line in input.lines
  startswith(line, sprintf("%s|", [tag]))
]

final(list) := list[count(list) - 1]
"""
_NUMBER = r"`?(\d+)`?"
_ZERO = re.compile(
    r"\b`?0`?,? (?:(?:which |that )?means|never|switches|is no|turns|does not|breaks|would|stands)"
    r"|(?:not|never|but not|other than) `?0`?\b|above 0|more than 0"
)
_MOST = re.compile(
    rf"(?:at most|no more than|not more than|up to|not above) {_NUMBER}"
    rf"|{_NUMBER}(?: \w+)? or (?:less|fewer|lower|shorter)"
)
_LEAST = re.compile(
    rf"(?:at least|no less than|not less than|not below) {_NUMBER}"
    rf"|{_NUMBER}(?: \w+)? or (?:more|longer|higher|greater)"
)
_EXACT = re.compile(
    r"(?:comes? out as|ha(?:s|ve) to be|must be|set to|\bis\b|\bare\b|\bbe\b|=)"
    r"(?: set to)?(?: both| each| all| either| one of)?"
    r" ((?:`[^`]+`|\d+)(?:(?:,? or |, )(?:`[^`]+`|\d+))*)"
)


@dataclass(frozen=True)
class Template:
    """A filled family: what the shell collects, and the rules `violations` over it."""

    shell: str
    rego: str

    def files(self) -> dict[str, str]:
        """The artefacts by file name."""
        lines = "\n".join(f"          {line}".rstrip() for line in self.script().splitlines())
        return {"playbook.yml": _PLAYBOOK % lines, "policy.rego": f"{_HEAD}\n{self.rego}"}

    def script(self) -> str:
        """All that the shell runs."""
        return f"{_SHELL}{self.shell}\ntrue\n"


@dataclass(frozen=True)
class Wanted:
    """What a setting has to come out as: one of the words, or a number within bounds."""

    words: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None

    def rego(self, value: str) -> str:
        """Tests of a text."""
        if self.words:
            return f"  {value} in {{{', '.join(json.dumps(item) for item in self.words)}}}\n"
        tests = f"  regex.match(`^-?[0-9]+$`, {value})\n"
        tests += "" if self.least is None else f"  to_number({value}) >= {self.least}\n"
        return tests + ("" if self.most is None else f"  to_number({value}) <= {self.most}\n")


def wanted(text: str, ignore: Iterable[str] = ()) -> Wanted | None:
    """What the words behind a setting's name ask for."""
    between = re.search(rf"(?:between|from) {_NUMBER}(?: \w+)? (?:and|to) {_NUMBER}", text)
    if between:
        return Wanted(least=int(between[1]), most=int(between[2]))
    positive = _ZERO.search(text) is not None
    most = _MOST.search(text)
    if most:
        return Wanted(least=1 if positive else None, most=int(most[1] or most[2]))
    least = _LEAST.search(text)
    if least:
        return Wanted(least=int(least[1] or least[2]))
    less = re.search(rf"(?:above|more than|greater than) {_NUMBER}", text)
    if less:
        return Wanted(least=int(less[1]) + 1)
    said = _EXACT.search(text)
    if said is None:
        return None
    words = tuple(
        item for item in re.findall(r"[^`\s,]+", re.sub(r",? or |, ", " ", said[1])) if item not in ignore
    )
    return Wanted(words=words) if words else None


def named(words: Words, otherwise: str) -> str:
    """How the text wants a violation named."""
    for sentence in words.sentences:
        if re.search(r"breaks the rule is named|[Vv]iolations? (?:is|are) named", sentence) and spans(
            sentence
        ):
            return spans(sentence)[0]
    return otherwise


def violation(name: str, tests: str) -> str:
    """A rule that names one thing."""
    return f"violations contains {json.dumps(name)} if {{\n{tests}}}\n"


__all__ = ["Template", "Wanted", "named", "violation", "wanted"]
