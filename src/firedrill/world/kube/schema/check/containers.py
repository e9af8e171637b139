"""The rules of containers: names, images, ports, environment, mounts, probes, resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema.check import names
from firedrill.world.kube.schema.check.fields import Errors

_PULL = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_SCHEMES = ("HTTP", "HTTPS")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_OTHER_FIELDS = frozenset(
    {
        "metadata.annotations",
        "metadata.labels",
        "spec.restartPolicy",
        "spec.schedulerName",
        "status.phase",
    }
)
"""Fields that a volume may show, and a variable may not."""
_RESOURCE_FIELDS = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_NATIVE = frozenset({"cpu", "memory", "ephemeral-storage", "storage"})


def check_containers(
    errors: Errors, path: str, containers: Sequence[Obj], volumes: Mapping[str, Obj], *, init: bool
) -> set[str]:
    """All rules of a list of containers; gives their names."""
    seen: set[str] = set()
    for index, container in enumerate(containers):
        here = f"{path}[{index}]"
        name = str(container.get("name") or "")
        if not name:
            errors.required(f"{here}.name")
        else:
            for problem in names.problems("label", name):
                errors.invalid(f"{here}.name", name, problem)
            if name in seen:
                errors.duplicate(f"{here}.name", name)
            seen.add(name)
        _check_container(errors, here, container, volumes)
        _check_probes(errors, here, container, init=init)
    return seen


def _check_container(errors: Errors, path: str, container: Obj, volumes: Mapping[str, Obj]) -> None:
    image = container.get("image")
    if not image:
        errors.required(f"{path}.image")
    elif image != str(image).strip():
        errors.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    errors.one_of(
        f"{path}.terminationMessagePolicy", container.get("terminationMessagePolicy"), _MESSAGE_POLICIES
    )
    _check_ports(errors, f"{path}.ports", container.get("ports") or ())
    _check_env(errors, path, container)
    _check_mounts(errors, f"{path}.volumeMounts", container.get("volumeMounts") or (), volumes)
    errors.one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), _PULL)
    check_resources(errors, f"{path}.resources", container.get("resources") or {})
    context = container.get("securityContext") or {}
    if context.get("runAsUser") is not None and not 0 <= context["runAsUser"] <= 2**31 - 1:
        errors.invalid(
            f"{path}.securityContext.runAsUser",
            context["runAsUser"],
            "must be between 0 and 2147483647, inclusive",
        )
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        errors.invalid(
            f"{path}.securityContext",
            "",
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        )


def _check_ports(errors: Errors, path: str, ports: Sequence[Obj]) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        name = port.get("name")
        if name:
            found = names.port_name(name)
            for problem in found:
                errors.invalid(f"{here}.name", name, problem)
            if not found and name in seen:
                errors.duplicate(f"{here}.name", name)
            seen.add(name)
        if not port.get("containerPort"):
            errors.required(f"{here}.containerPort")
        elif problem := names.port_number(port["containerPort"]):
            errors.invalid(f"{here}.containerPort", port["containerPort"], problem)
        if port.get("hostPort") and (problem := names.port_number(port["hostPort"])):
            errors.invalid(f"{here}.hostPort", port["hostPort"], problem)
        errors.one_of(f"{here}.protocol", port.get("protocol"), _PROTOCOLS)


def _check_env(errors: Errors, path: str, container: Obj) -> None:
    for index, entry in enumerate(container.get("env") or ()):
        here = f"{path}.env[{index}]"
        if not entry.get("name"):
            errors.required(f"{here}.name")
        else:
            for problem in names.problems("env_name", entry["name"]):
                errors.invalid(f"{here}.name", entry["name"], problem)
        if entry.get("valueFrom") is not None:
            _check_env_source(errors, f"{here}.valueFrom", entry)
    for index, entry in enumerate(container.get("envFrom") or ()):
        here = f"{path}.envFrom[{index}]"
        if entry.get("prefix"):
            for problem in names.problems("env_name", entry["prefix"]):
                errors.invalid(f"{here}.prefix", entry["prefix"], problem)
        kinds = [key for key in ("configMapRef", "secretRef") if entry.get(key) is not None]
        if not kinds:
            errors.invalid(f"{here}", "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(kinds) > 1:
            errors.invalid(f"{here}", "", "may not have more than one field specified at a time")
        for key in kinds:
            if not entry[key].get("name"):
                errors.required(f"{here}.{key}.name")


def _check_env_source(errors: Errors, path: str, entry: Obj) -> None:
    source = entry["valueFrom"]
    if entry.get("value"):
        errors.invalid(path, "", "may not be specified when `value` is not empty")
    if not source:
        errors.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        )
    elif len(source) > 1:
        errors.invalid(path, "", "may not have more than one field specified at a time")
    for key in ("configMapKeyRef", "secretKeyRef"):
        reference = source.get(key)
        if reference is None:
            continue
        if not reference.get("name"):
            errors.required(f"{path}.{key}.name")
        if not reference.get("key"):
            errors.required(f"{path}.{key}.key")
        else:
            for problem in names.config_key(reference["key"]):
                errors.invalid(f"{path}.{key}.key", reference["key"], problem)
    field = (source.get("fieldRef") or {}).get("fieldPath")
    if source.get("fieldRef") is not None:
        _check_field_path(errors, f"{path}.fieldRef.fieldPath", field)
    if source.get("resourceFieldRef") is not None:
        errors.one_of(
            f"{path}.resourceFieldRef.resource", source["resourceFieldRef"].get("resource"), _RESOURCE_FIELDS
        )


def _check_field_path(errors: Errors, path: str, field: Any) -> None:
    if not field:
        errors.required(path)
        return
    if str(field).startswith(("metadata.labels['", "metadata.annotations['")) and str(field).endswith("']"):
        return
    if field not in _FIELD_PATHS:
        if field in _OTHER_FIELDS:
            errors.unsupported(path, field, _FIELD_PATHS)
        else:
            errors.invalid(path, field, f"error converting fieldPath: field label not supported: {field}")


def _check_mounts(errors: Errors, path: str, mounts: Sequence[Obj], volumes: Mapping[str, Obj]) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        here = f"{path}[{index}]"
        name, place = str(mount.get("name") or ""), str(mount.get("mountPath") or "")
        if not name:
            errors.required(f"{here}.name")
        elif name not in volumes:
            errors.not_found(f"{here}.name", name)
        if not place:
            errors.required(f"{here}.mountPath")
        elif place in seen:
            errors.invalid(f"{here}.mountPath", place, "must be unique")
        seen.add(place)
        for key in ("subPath", "subPathExpr"):
            inner = str(mount.get(key) or "")
            if inner.startswith("/"):
                errors.invalid(f"{here}.{key}", inner, "must be a relative path")
            if ".." in inner.split("/"):
                errors.invalid(f"{here}.{key}", inner, "must not contain '..'")
        if mount.get("subPath") and mount.get("subPathExpr"):
            errors.invalid(
                f"{here}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
            )


def _check_probes(errors: Errors, path: str, container: Obj, *, init: bool) -> None:
    sidecar = container.get("restartPolicy") == "Always"
    if container.get("restartPolicy") is not None:
        if not init:
            errors.forbidden(f"{path}.restartPolicy", "may not be set for non-init containers")
        elif not sidecar:
            errors.unsupported(f"{path}.restartPolicy", container["restartPolicy"], ("Always",))
    for key in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
        if init and not sidecar and container.get(key) is not None:
            errors.forbidden(
                f"{path}.{key}", "may not be set for init containers without restartPolicy=Always"
            )
    if init and not sidecar:
        return
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(key)
        if probe is not None:
            _check_probe(errors, f"{path}.{key}", probe, must_succeed_once=key != "readinessProbe")
    for key, hook in (container.get("lifecycle") or {}).items():
        if isinstance(hook, dict):
            _check_handler(errors, f"{path}.lifecycle.{key}", hook)


def _check_probe(errors: Errors, path: str, probe: Obj, *, must_succeed_once: bool) -> None:
    _check_handler(errors, path, probe)
    for key in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        errors.not_negative(f"{path}.{key}", probe.get(key))
    if must_succeed_once and probe.get("successThreshold", 1) != 1:
        errors.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _check_handler(errors: Errors, path: str, handler: Obj) -> None:
    given = [key for key in _HANDLERS if handler.get(key) is not None]
    if not given:
        errors.required(path, "must specify a handler type")
    for key in given[1:]:
        errors.forbidden(f"{path}.{key}", "may not specify more than 1 handler type")
    if not given:
        return
    key = given[0]
    body, here = handler[key], f"{path}.{key}"
    if key == "exec" and not body.get("command"):
        errors.required(f"{here}.command")
    elif key == "httpGet":
        if not body.get("path"):
            errors.required(f"{here}.path")
        check_port(errors, f"{here}.port", body.get("port"))
        errors.one_of(f"{here}.scheme", body.get("scheme"), _SCHEMES)
    elif key == "tcpSocket":
        check_port(errors, f"{here}.port", body.get("port"))
    elif key == "grpc" and (problem := names.port_number(body.get("port"))):
        errors.invalid(f"{here}.port", body.get("port") or 0, problem)


def check_port(errors: Errors, path: str, port: Any) -> None:
    """A port by number or by name."""
    if isinstance(port, str):
        for problem in names.port_name(port):
            errors.invalid(path, port, problem)
    elif problem := names.port_number(port):
        errors.invalid(path, port or 0, problem)


def check_resources(errors: Errors, path: str, resources: Obj) -> None:
    """Requests and limits: known names, not negative, requests no larger than limits."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for title, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            here = f"{path}.{title}[{name}]"
            check_resource_name(errors, here, name)
            if quantity.parse(amount) < 0:
                errors.invalid(here, amount, "must be greater than or equal to 0")
    for name, amount in requests.items():
        limit = limits.get(name)
        if limit is not None and quantity.parse(amount) > quantity.parse(limit):
            errors.invalid(
                f"{path}.requests", amount, f"must be less than or equal to {name} limit of {limit}"
            )
        elif limit is not None and name not in _NATIVE and amount != limit:
            errors.invalid(f"{path}.requests", amount, f"must be equal to {name} limit of {limit}")
        elif limit is None and "/" in name:
            errors.required(f"{path}.limits", "Limit must be set for non overcommitable resources")


def check_resource_name(errors: Errors, path: str, name: str) -> None:
    """A name under `limits` or `requests` of a container."""
    for problem in names.qualified(name):
        errors.invalid(path, name, problem)
    if "/" not in name and name not in _NATIVE and not name.startswith("hugepages-"):
        errors.invalid(path, name, "must be a standard resource type or fully qualified")
        errors.invalid(path, name, "must be a standard resource for containers")
