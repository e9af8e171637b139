"""What hosts cost: staging, calls of stubs, a ten-task playbook, twelve variants on two cores; with figures.

With ``--references`` it also runs the command of every packaged host scenario's reference playbook on every
variant, and counts the verdicts that its policy then gets wrong.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

from firedrill.sandbox.host import HostLimits, play, run_command
from firedrill.sandbox.host.layout import entries
from firedrill.suites.compliance.loading import artefacts, known_ids, load, variants
from firedrill.world.host import Host, base_host
from firedrill.world.host.stubs import answer, commands
from firedrill.world.policy.rego import Module, Rego, choose, verdict
from table import Row, show

PLAYBOOK = b"""
- hosts: all
  gather_facts: false
  tasks:
    - {command: sysctl -n net.ipv4.ip_forward, register: forward, changed_when: false}
    - {slurp: {src: /etc/shadow}, register: shadow}
    - {stat: {path: /etc/passwd}, register: passwd}
    - {command: findmnt -kn /tmp, register: mounted, changed_when: false}
    - {shell: "sshd -T | head -3", register: sshd, changed_when: false}
    - {find: {paths: /etc/ssh}, register: keys}
    - {command: systemctl is-enabled sshd, register: enabled, changed_when: false}
    - {slurp: {src: /etc/fstab}, register: table}
    - {set_fact: {told: "{{ forward.stdout }}"}}
    - copy: {content: "{{ {'told': told, 'enabled': enabled.stdout} | to_json }}", dest: collected_data.json}
      delegate_to: localhost
"""
QUESTIONS = (
    "systemctl is-enabled sshd",
    "sysctl -a",
    "rpm -qa",
    "findmnt -kn /tmp",
    "sshd -T",
    "getent passwd root",
)
LOOP = 20_000_000


def processor() -> float:
    """Seconds of processor time of this process and of all its finished descendants."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def costs() -> list[Row]:
    host = base_host()
    run_command(host, "true")
    rows: list[Row] = []

    began = processor()
    sum(range(LOOP))
    rows.append(
        (
            "a loop of 20 million, for comparison",
            "about 0.25 s on an idle core",
            f"{processor() - began:.2f} s",
        )
    )

    began = processor()
    for _ in range(20):
        entries(host, commands(host), frozenset())
    rows.append(("tree of a host, laid out on paper", "< 10 ms", f"{(processor() - began) * 50:.1f} ms"))

    began = processor()
    for _ in range(10):
        run_command(host, "true")
    rows.append(("a command on a fresh host", "< 150 ms of CPU", f"{(processor() - began) * 100:.0f} ms"))

    began = processor()
    for _ in range(50):
        for question in QUESTIONS:
            answer(host, question.split())
    rows.append(
        (
            "an answer of a stub, pure",
            "< 1 ms",
            f"{(processor() - began) * 1000 / 50 / len(QUESTIONS):.2f} ms",
        )
    )

    began = processor()
    done = run_command(host, "for i in $(seq 100); do sysctl -n kernel.sysrq; done > /dev/null")
    assert done.code == 0
    rows.append(("a call of a stub inside", "< 20 ms of CPU", f"{(processor() - began) * 10:.1f} ms"))
    return rows


def playbooks() -> list[Row]:
    rows: list[Row] = []
    host = base_host()
    for facts, target in ((False, "< 4 s"), (True, "-")):
        text = PLAYBOOK.replace(b"gather_facts: false", b"gather_facts: true") if facts else PLAYBOOK
        began = processor()
        played = play(host, "playbook.yml", {"playbook.yml": text})
        assert played.code == 0, played.stdout
        assert not played.changed
        assert not played.gaps
        rows.append(
            (f"ten tasks{', with facts' if facts else ''}: CPU", target, f"{processor() - began:.2f} s")
        )
    spec = load("rh-01")
    files = {name: text.encode() for name, text in artefacts(spec).items()}
    hosts = [made(variant.state) for variant in variants(spec, 1)][:12]
    began, wall = processor(), time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda host: play(host, "playbook.yml", files).code, hosts))
    assert codes == [0] * len(hosts)
    rows.append(("twelve variants at two at once: wall", "< 25 s", f"{time.perf_counter() - wall:.1f} s"))
    rows.append(("twelve variants: CPU", "-", f"{processor() - began:.1f} s"))
    return rows


def made(state: Sequence[Any]) -> Host:
    host = base_host()
    for patch in state:
        host = host.patched(patch)
    return host


def references() -> list[Row]:
    rego = Rego(choose())
    count, wrong = 0, []
    for name in known_ids():
        spec = load(name)
        if spec.scenario_class != "rhel9-ansible-opa":
            continue
        files = artefacts(spec)
        command = yaml.safe_load(files["playbook.yml"])[0]["tasks"][0]["ansible.builtin.shell"]
        drawn = variants(spec, 1)
        inputs = []
        for variant in drawn:
            done = run_command(made(variant.state), f"({command}) > out.txt", limits=HostLimits(seconds=60))
            if done.changed or done.gaps or done.stopped:
                wrong.append(f"{name}/{variant.name}: {done.changed or done.gaps or 'stopped'}")
            inputs.append({"lines": done.files["out.txt"].decode().rstrip("\r\n").splitlines()})
        outcomes = rego.evaluate_many(
            [Module("policy.rego", files["policy.rego"])], "data.check.result", inputs
        )
        for variant, outcome in zip(drawn, outcomes, strict=True):
            count += 1
            if verdict(outcome) is not variant.compliant:
                wrong.append(f"{name}/{variant.name} {variant.trap}: {outcome}")
    return [(f"references on {count} variants: wrong", "0", "; ".join(wrong) or "0")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--references", action="store_true")
    given = parser.parse_args()
    show("Hosts", [*costs(), *playbooks(), *(references() if given.references else [])])


if __name__ == "__main__":
    main()
