"""The checks of the Pod Security Standards, each a pure function of a pod.

Source: the Pod Security Standards, and `k8s.io/pod-security-admission` for the wording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from firedrill.world.kube.objects import dig
from firedrill.world.sim.tables import table


@dataclass(frozen=True, slots=True)
class Violation:
    """One check that a pod fails.

    Attributes:
        check: name of the check.
        reason: short, as in `privileged`.
        detail: which containers, in brackets after the reason.
    """

    check: str
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class Pod:
    """What the checks look at."""

    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    minor: int

    @property
    def containers(self) -> Iterator[Mapping[str, Any]]:
        """Init, ordinary and ephemeral containers."""
        for key in ("initContainers", "containers", "ephemeralContainers"):
            yield from self.spec.get(key) or ()

    @property
    def windows(self) -> bool:
        """Whether the pod says that it is for Windows, and the policy version cares."""
        return self.minor >= 25 and dig(self.spec, "os", "name") == "windows"

    def setters(self, *path: str) -> Iterator[tuple[str, Any]]:
        """What the pod (named `pod`) and its containers set at a path of their security contexts."""
        for name, holder in (("", self.spec), *((str(item.get("name")), item) for item in self.containers)):
            found = dig(holder, "securityContext", *path)
            if found is not None:
                yield name, found


@cache
def facts() -> Mapping[str, Any]:
    """The lists in `data/pod_security.yaml`."""
    found: Mapping[str, Any] = table(__package__, "pod_security.yaml")
    return found


def _allowed(name: str, minor: int) -> frozenset[str]:
    return frozenset(item for since, items in facts()[name].items() if minor >= since for item in items)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _several(one: str, names: Sequence[str]) -> str:
    return f"{one if len(names) == 1 else one + 's'} {_quoted(names)}"


def _who(names: Sequence[str]) -> str:
    """`pod and containers "a", "b"`; the empty name is the pod."""
    parts = ["pod"] if "" in names else []
    containers = [name for name in names if name]
    return " and ".join([*parts, *([_several("container", containers)] if containers else [])])


def _use(names: Sequence[str]) -> str:
    return "uses" if len(names) == 1 else "use"


Finding = tuple[str, str] | None
"""(reason, detail), or None for a pod that passes."""


def app_armor_profile(pod: Pod) -> Finding:
    """Only the runtime's or a local AppArmor profile."""
    setters: list[str] = []
    values: set[str] = set()
    if pod.minor >= 30:
        bad = [
            (n, v)
            for n, v in pod.setters("appArmorProfile", "type")
            if v not in ("RuntimeDefault", "Localhost")
        ]
        if bad:
            setters.append(_who([name for name, _ in bad]))
            values.update(str(value) for _, value in bad)
    prefix, annotations = "container.apparmor.security.beta.kubernetes.io/", []
    for key, text in sorted((pod.metadata.get("annotations") or {}).items()):
        fine = text in ("", "runtime/default") or text.startswith("localhost/")
        if key.startswith(prefix) and not fine:
            annotations.append((key, text))
    if pod.minor < 30:
        detail = ", ".join(f'{key}="{text}"' for key, text in annotations)
        return (_profiles(annotations), detail) if annotations else None
    if annotations:
        setters.append(_several("annotation", [key for key, _ in annotations]))
        values.update(text for _, text in annotations)
    if not setters:
        return None
    found = sorted(values)
    return _profiles(found), f"{' and '.join(setters)} must not set AppArmor profile type to {_quoted(found)}"


def _profiles(found: Sequence[Any]) -> str:
    return "forbidden AppArmor profile" + ("" if len(found) == 1 else "s")


def capabilities_baseline(pod: Pod) -> Finding:
    """No capabilities beyond the runtime's default set."""
    names, added = _adding(pod, frozenset(facts()["capabilities"]))
    if not names:
        return None
    who = _several("container", names)
    return (
        "non-default capabilities",
        f"{who} must not include {_quoted(added)} in securityContext.capabilities.add",
    )


def _adding(pod: Pod, allowed: frozenset[str]) -> tuple[list[str], list[str]]:
    names, added = [], set()
    for container in pod.containers:
        bad = set(dig(container, "securityContext", "capabilities", "add", default=())) - allowed
        if bad:
            names.append(str(container.get("name")))
            added |= bad
    return names, sorted(added)


def host_namespaces(pod: Pod) -> Finding:
    """No namespaces of the node."""
    found = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(key)]
    return ("host namespaces", ", ".join(found)) if found else None


def host_path_volumes(pod: Pod) -> Finding:
    """No folders of the node."""
    found = [
        str(item.get("name")) for item in pod.spec.get("volumes") or () if item.get("hostPath") is not None
    ]
    return ("hostPath volumes", _several("volume", found)) if found else None


def host_ports(pod: Pod) -> Finding:
    """No ports of the node."""
    names, ports = [], set()
    for container in pod.containers:
        bad = {str(item["hostPort"]) for item in container.get("ports") or () if item.get("hostPort")}
        if bad:
            names.append(str(container.get("name")))
            ports |= bad
    if not names:
        return None
    what = "hostPort" if len(ports) == 1 else "hostPorts"
    return "hostPort", f"{_several('container', names)} {_use(names)} {what} {', '.join(sorted(ports))}"


_HANDLERS = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)


def host_probes(pod: Pod) -> Finding:
    """No probes or hooks that ask another host."""
    names, hosts = set(), set()
    for container in pod.containers:
        for path in _HANDLERS:
            for kind in ("httpGet", "tcpSocket"):
                host = dig(container, *path, kind, "host")
                if host:
                    names.add(str(container.get("name")))
                    hosts.add(str(host))
    if not names:
        return None
    who, what = sorted(names), "probe or lifecycle host" + ("" if len(hosts) == 1 else "s")
    return (
        "probe or lifecycle host",
        f"{_several('container', who)} {_use(who)} {what} {_quoted(sorted(hosts))}",
    )


def privileged(pod: Pod) -> Finding:
    """No privileged containers."""
    names = [name for name, value in pod.setters("privileged") if name and value]
    if not names:
        return None
    return "privileged", f"{_several('container', names)} must not set securityContext.privileged=true"


def proc_mount(pod: Pod) -> Finding:
    """The default view of /proc."""
    bad = [(name, str(value)) for name, value in pod.setters("procMount") if name and value != "Default"]
    if not bad:
        return None
    names, values = [name for name, _ in bad], sorted({value for _, value in bad})
    return (
        "procMount",
        f"{_several('container', names)} must not set securityContext.procMount to {_quoted(values)}",
    )


def se_linux_options(pod: Pod) -> Finding:
    """Only the SELinux types for containers, no user and no role."""
    names, types, fields = [], set(), set()
    allowed = _allowed("selinux_types", pod.minor)
    for name, options in pod.setters("seLinuxOptions"):
        kind = options.get("type") or ""
        bad = {key for key in ("user", "role") if options.get(key)}
        if kind not in allowed:
            types.add(kind)
        if bad or kind not in allowed:
            names.append(name)
            fields |= bad
    if not names:
        return None
    said = [_several("type", sorted(types))] if types else []
    said += [f"{key} may not be set" for key in ("user", "role") if key in fields]
    return "seLinuxOptions", f"{_who(names)} set forbidden securityContext.seLinuxOptions: {'; '.join(said)}"


_SECCOMP = ("RuntimeDefault", "Localhost")


def seccomp_annotations(pod: Pod) -> Finding:
    """Before there was a field: no unconfined seccomp profile in annotations."""
    base = "seccomp.security.alpha.kubernetes.io/"
    annotations = pod.metadata.get("annotations") or {}
    keys = [base + "pod", *(f"container.{base}{item.get('name')}" for item in pod.containers)]
    found = sorted(
        f'{key}="{annotations[key]}"'
        for key in keys
        if key in annotations
        and annotations[key] not in ("runtime/default", "docker/default")
        and not annotations[key].startswith("localhost/")
    )
    what = "annotation" if len(found) == 1 else "annotations"
    return ("seccompProfile", f"forbidden {what} {', '.join(found)}") if found else None


def seccomp_baseline(pod: Pod) -> Finding:
    """No unconfined seccomp profile."""
    bad = [
        (name, str(value)) for name, value in pod.setters("seccompProfile", "type") if value not in _SECCOMP
    ]
    if not bad:
        return None
    values = _quoted(sorted({value for _, value in bad}))
    who = _who([name for name, _ in bad])
    return "seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {values}"


def seccomp_restricted(pod: Pod) -> Finding:
    """A seccomp profile must be set."""
    if pod.windows:
        return None
    explicit = seccomp_baseline(pod)
    if explicit:
        return explicit
    if dig(pod.spec, "securityContext", "seccompProfile", "type") in _SECCOMP:
        return None
    names = _without(pod, "seccompProfile")
    text = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return ("seccompProfile", f"pod or {_several('container', names)} {text}") if names else None


def _without(pod: Pod, key: str) -> list[str]:
    return [str(item.get("name")) for item in pod.containers if dig(item, "securityContext", key) is None]


def sysctls(pod: Pod) -> Finding:
    """Only sysctls that stay within the pod."""
    allowed = _allowed("sysctls", pod.minor)
    given = dig(pod.spec, "securityContext", "sysctls", default=())
    found = [str(item.get("name")) for item in given if item.get("name") not in allowed]
    return ("forbidden sysctls", ", ".join(found)) if found else None


def windows_host_process(pod: Pod) -> Finding:
    """No host processes on Windows."""
    names = [name for name, value in pod.setters("windowsOptions", "hostProcess") if value]
    if not names:
        return None
    return "hostProcess", f"{_who(names)} must not set securityContext.windowsOptions.hostProcess=true"


def allow_privilege_escalation(pod: Pod) -> Finding:
    """No way to more privileges."""
    if pod.windows:
        return None
    names = [
        str(item.get("name"))
        for item in pod.containers
        if dig(item, "securityContext", "allowPrivilegeEscalation") is not False
    ]
    text = "must set securityContext.allowPrivilegeEscalation=false"
    return ("allowPrivilegeEscalation != false", f"{_several('container', names)} {text}") if names else None


def capabilities_restricted(pod: Pod) -> Finding:
    """All capabilities dropped, at most one added."""
    if pod.windows:
        return None
    keeping = [
        str(item.get("name"))
        for item in pod.containers
        if "ALL" not in dig(item, "securityContext", "capabilities", "drop", default=())
    ]
    names, added = _adding(pod, frozenset({"NET_BIND_SERVICE"}))
    said = []
    if keeping:
        said.append(f'{_several("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if names:
        who = _several("container", names)
        said.append(f"{who} must not include {_quoted(added)} in securityContext.capabilities.add")
    return ("unrestricted capabilities", "; ".join(said)) if said else None


def restricted_volumes(pod: Pod) -> Finding:
    """Only volumes that come from the cluster."""
    names, types = [], set()
    for volume in pod.spec.get("volumes") or ():
        kinds = sorted(key for key, value in volume.items() if key != "name" and value is not None)
        # A volume without a source is an emptyDir.
        if kinds and not any(kind in facts()["volumes"] for kind in kinds):
            names.append(str(volume.get("name")))
            types.add(kinds[0])
    if not names:
        return None
    what = _several("restricted volume type", sorted(types))
    return "restricted volume types", f"{_several('volume', names)} {_use(names)} {what}"


def run_as_non_root(pod: Pod) -> Finding:
    """Never as root."""
    bad = [name for name, value in pod.setters("runAsNonRoot") if value is False]
    reason = "runAsNonRoot != true"
    if bad:
        return reason, f"{_who(bad)} must not set securityContext.runAsNonRoot=false"
    if dig(pod.spec, "securityContext", "runAsNonRoot"):
        return None
    names = _without(pod, "runAsNonRoot")
    text = "must set securityContext.runAsNonRoot=true"
    return (reason, f"pod or {_several('container', names)} {text}") if names else None


def run_as_user(pod: Pod) -> Finding:
    """Not as user 0."""
    bad = [name for name, value in pod.setters("runAsUser") if value == 0]
    return ("runAsUser=0", f"{_who(bad)} must not set runAsUser=0") if bad else None


CHECKS: Mapping[str, Callable[[Pod], Finding]] = {
    check.__name__: check
    for check in (
        app_armor_profile,
        capabilities_baseline,
        host_namespaces,
        host_path_volumes,
        host_ports,
        host_probes,
        privileged,
        proc_mount,
        se_linux_options,
        seccomp_annotations,
        seccomp_baseline,
        sysctls,
        windows_host_process,
        allow_privilege_escalation,
        capabilities_restricted,
        restricted_volumes,
        run_as_non_root,
        run_as_user,
        seccomp_restricted,
    )
}
