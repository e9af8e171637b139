"""One real playbook that uses every module which an assessment may need."""

from __future__ import annotations

import json

import pytest

from firedrill.sandbox.host import Played, play
from firedrill.world.host import base_host

pytestmark = [pytest.mark.service, pytest.mark.slow]

PLAYBOOK = b"""
- hosts: all
  become: true
  gather_facts: true
  tasks:
    - {command: sysctl -n net.ipv4.ip_forward, register: forward, changed_when: false}
    - {shell: "findmnt -kn -o OPTIONS /tmp | tr , '\\\\n' | grep -c noexec", register: noexec, changed_when: false}
    - {raw: "sshd -T | grep ^x11forwarding", register: sshd, changed_when: false}
    - {slurp: {src: /etc/shadow}, register: shadow}
    - {fetch: {src: /etc/issue, dest: fetched/, flat: true}}
    - {stat: {path: /etc/ssh/ssh_host_rsa_key}, register: key}
    - {find: {paths: /etc/sysctl.d, file_type: any}, register: found}
    - {getent: {database: passwd, key: alice}}
    - service_facts:
    - package_facts:
    - {systemd: {name: sshd, state: started, enabled: true}, check_mode: true, register: unit}
    - {service: {name: kdump, state: started}, check_mode: true, register: kdump}
    - {lineinfile: {path: /etc/motd, line: hello}, check_mode: true, register: line}
    - {replace: {path: /etc/issue, regexp: Kernel, replace: x}, check_mode: true, register: replaced}
    - {copy: {content: x, dest: /etc/new}, check_mode: true, register: copied}
    - {file: {path: /etc/motd, mode: "0644", owner: root}, check_mode: true, register: mode}
    - mount_facts:
    - {set_fact: {answer: "{{ forward.stdout | int + 1 }}"}}
    - {assert: {that: ["key.stat.gr_name == 'ssh_keys'", "key.stat.mode == '0640'"]}}
    - debug: {msg: "{{ ansible_facts.services['sshd.service'] }}"}
    - template: {src: out.j2, dest: collected_data.json}
      delegate_to: localhost
      become: false
"""
OUT = b"""{{ {
 'forward': forward.stdout, 'noexec': noexec.stdout, 'sshd': sshd.stdout | trim, 'shadow': shadow.content | b64decode,
 'found': found.files | map(attribute='path') | list, 'uid': getent_passwd.alice[1],
 'sshd_state': ansible_facts.services['sshd.service'].state, 'bash': ansible_facts.packages.bash[0].version,
 'mounts': ansible_facts.mount_points | dict2items | map(attribute='key') | sort,
 'unit': unit.changed, 'kdump': kdump.changed, 'line': line.changed, 'replaced': replaced.changed,
 'copied': copied.changed, 'mode': mode.changed,
 'os': [ansible_distribution, ansible_distribution_major_version, ansible_os_family], 'manager': ansible_service_mgr,
 'packages': ansible_pkg_mgr, 'host': ansible_hostname, 'answer': answer,
 'facts': ansible_mounts | map(attribute='mount') | sort } | to_json }}
"""


@pytest.fixture(scope="module")
def played() -> Played:
    return play(base_host(), "playbook.yml", {"playbook.yml": PLAYBOOK, "out.j2": OUT})


def test_every_module_works_and_nothing_is_changed(played: Played) -> None:
    assert played.code == 0, played.stdout
    assert played.changed == ()
    assert played.gaps == ()
    assert played.files["fetched/issue"].startswith(b"\\S\n")


def test_facts_and_modules_tell_the_host(played: Played) -> None:
    data = json.loads(played.files["collected_data.json"])
    assert data["os"] == ["RedHat", "9", "RedHat"]
    assert (data["manager"], data["packages"], data["host"]) == ("systemd", "dnf", "rhel9")
    assert (data["forward"], data["noexec"], data["sshd"]) == ("0", "1", "x11forwarding yes")
    assert data["shadow"].startswith("root:$6$")
    assert data["found"] == ["/etc/sysctl.d/99-sysctl.conf"]
    assert (data["uid"], data["sshd_state"], data["bash"]) == ("1000", "running", "5.1.8")
    assert {"/", "/tmp", "/var/tmp"} <= set(data["mounts"])
    assert {"/", "/home", "/var"} <= set(data["facts"])
    changed = [data[name] for name in ("unit", "kdump", "line", "replaced", "copied", "mode")]
    assert changed == [False, True, True, True, True, False]
