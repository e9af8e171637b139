"""The rules of pods and pod templates, and what of a pod may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.schema.check import names
from firedrill.world.kube.schema.check.cluster import check_sysctls
from firedrill.world.kube.schema.check.containers import check_containers
from firedrill.world.kube.schema.check.fields import Errors, Go, go_text
from firedrill.world.kube.schema.check.metadata import check_changeable, check_selector

_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")
_PREEMPTION = ("PreemptLowerPriority", "Never")
_MOST_SERVERS = 3
_NO_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NODE_OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"})


def check_pod(errors: Errors, obj: Obj) -> None:
    """A pod of its own."""
    check_pod_spec(errors, "spec", obj.get("spec") or {})


def check_template(errors: Errors, path: str, template: Obj) -> None:
    """A pod template."""
    check_changeable(errors, template.get("metadata") or {}, f"{path}.metadata")
    check_pod_spec(errors, f"{path}.spec", template.get("spec") or {})
    if dig(template, "spec", "ephemeralContainers"):
        errors.forbidden(
            f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"
        )


def check_pod_spec(errors: Errors, path: str, spec: Obj) -> None:
    """Everything below `spec` of a pod."""
    volumes = _check_volumes(errors, f"{path}.volumes", spec.get("volumes") or ())
    if not spec.get("containers"):
        errors.required(f"{path}.containers")
    ordinary = check_containers(
        errors, f"{path}.containers", spec.get("containers") or (), volumes, init=False
    )
    init = spec.get("initContainers") or ()
    check_containers(errors, f"{path}.initContainers", init, volumes, init=True)
    for index, container in enumerate(init):
        if container.get("name") in ordinary:
            errors.duplicate(f"{path}.initContainers[{index}].name", container["name"])
    errors.one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTART)
    errors.one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS)
    errors.one_of(f"{path}.preemptionPolicy", spec.get("preemptionPolicy"), _PREEMPTION, required=False)
    check_sysctls(
        errors, f"{path}.securityContext.sysctls", dig(spec, "securityContext", "sysctls", default=())
    )
    _check_dns(errors, f"{path}.dnsConfig", spec)
    _check_labels_map(errors, f"{path}.nodeSelector", spec.get("nodeSelector"))
    for key in ("serviceAccountName", "nodeName", "priorityClassName"):
        if spec.get(key):
            for problem in names.problems("subdomain", str(spec[key])):
                errors.invalid(f"{path}.{key}", spec[key], problem)
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            for problem in names.problems("label", str(spec[key])):
                errors.invalid(f"{path}.{key}", spec[key], problem)
    grace = spec.get("terminationGracePeriodSeconds")
    errors.not_negative(f"{path}.terminationGracePeriodSeconds", grace)
    active = spec.get("activeDeadlineSeconds")
    if active is not None and not 1 <= active <= 2**31 - 1:
        errors.invalid(f"{path}.activeDeadlineSeconds", active, "must be between 1 and 2147483647, inclusive")
    _check_tolerations(errors, f"{path}.tolerations", spec.get("tolerations") or ())
    _check_aliases(errors, f"{path}.hostAliases", spec.get("hostAliases") or ())
    _check_affinity(errors, f"{path}.affinity", spec.get("affinity") or {})
    _check_spread(errors, f"{path}.topologySpreadConstraints", spec.get("topologySpreadConstraints") or ())


def _check_dns(errors: Errors, path: str, spec: Obj) -> None:
    config, alone = spec.get("dnsConfig"), spec.get("dnsPolicy") == "None"
    if alone and config is None:
        errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
        return
    servers = (config or {}).get("nameservers") or ()
    if alone and not servers:
        errors.required(
            f"{path}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None"
        )
        return
    if len(servers) > _MOST_SERVERS:
        shown = Go(go_text(list(servers)))
        errors.invalid(f"{path}.nameservers", shown, f"must not have more than {_MOST_SERVERS} nameservers")
    for index, server in enumerate(servers):
        if not names.is_ip(str(server)):
            errors.invalid(f"{path}.nameservers[{index}]", server, _NO_ADDRESS)
    for index, search in enumerate((config or {}).get("searches") or ()):
        for problem in names.problems("subdomain", str(search).removesuffix(".")):
            errors.invalid(f"{path}.searches[{index}]", search, problem)
    for index, option in enumerate((config or {}).get("options") or ()):
        if not option.get("name"):
            errors.required(f"{path}.options[{index}]", "must not be empty")


def _check_aliases(errors: Errors, path: str, aliases: Sequence[Obj]) -> None:
    for index, alias in enumerate(aliases):
        if not names.is_ip(str(alias.get("ip") or "")):
            errors.invalid(f"{path}[{index}].ip", alias.get("ip") or "", _NO_ADDRESS)
        for name in alias.get("hostnames") or ():
            for problem in names.problems("subdomain", str(name)):
                errors.invalid(f"{path}[{index}].hostnames", name, problem)


def _check_labels_map(errors: Errors, path: str, labels: Mapping[str, Any] | None) -> None:
    for key, value in (labels or {}).items():
        for problem in names.qualified(key):
            errors.invalid(path, key, problem)
        for problem in names.problems("label_value", str(value)):
            errors.invalid(path, value, problem)


def _check_volumes(errors: Errors, path: str, volumes: Sequence[Obj]) -> dict[str, Obj]:
    out: dict[str, Obj] = {}
    for index, volume in enumerate(volumes):
        here = f"{path}[{index}]"
        name = str(volume.get("name") or "")
        if not name:
            errors.required(f"{here}.name")
        else:
            for problem in names.problems("label", name):
                errors.invalid(f"{here}.name", name, problem)
            if name in out:
                errors.duplicate(f"{here}.name", name)
        sources = [key for key in volume if key != "name"]
        if not sources:
            errors.required(here, "must specify a volume type")
        for key in sources[1:]:
            errors.forbidden(f"{here}.{key}", "may not specify more than 1 volume type")
        if sources and isinstance(volume[sources[0]], dict):
            _check_source(errors, f"{here}.{sources[0]}", sources[0], volume[sources[0]])
        out[name] = volume
    return out


_SOURCE_NEEDS: Mapping[str, tuple[str, ...]] = {
    "configMap": ("name",),
    "secret": ("secretName",),
    "persistentVolumeClaim": ("claimName",),
    "hostPath": ("path",),
    "nfs": ("server", "path"),
    "csi": ("driver",),
}


def _check_source(errors: Errors, path: str, kind: str, source: Obj) -> None:
    for key in _SOURCE_NEEDS.get(kind, ()):
        if not source.get(key):
            errors.required(f"{path}.{key}")
    mode = source.get("defaultMode")
    if isinstance(mode, int) and not 0 <= mode <= 0o777:
        errors.invalid(
            f"{path}.defaultMode", mode, "must be a number between 0 and 0777 (octal), both inclusive"
        )
    for index, item in enumerate(source.get("items") or ()):
        here = f"{path}.items[{index}]"
        if kind in {"configMap", "secret"} and not item.get("key"):
            errors.required(f"{here}.key")
        inner = str(item.get("path") or "")
        if not inner:
            errors.required(f"{here}.path")
        elif inner.startswith("/"):
            errors.invalid(f"{here}.path", inner, "must be a relative path")
        elif ".." in inner.split("/"):
            errors.invalid(f"{here}.path", inner, "must not contain '..'")


def _check_tolerations(errors: Errors, path: str, tolerations: Sequence[Obj]) -> None:
    for index, item in enumerate(tolerations):
        here = f"{path}[{index}]"
        operator = item.get("operator") or "Equal"
        if item.get("key"):
            for problem in names.qualified(item["key"]):
                errors.invalid(f"{here}.key", item["key"], problem)
        elif operator != "Exists":
            errors.invalid(
                f"{here}.operator",
                item.get("operator") or "",
                'operator must be Exists when `key` is empty, which means "match all values and all keys"',
            )
        if item.get("tolerationSeconds") is not None and item.get("effect") != "NoExecute":
            errors.invalid(
                f"{here}.effect",
                item.get("effect") or "",
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            )
        if operator == "Equal":
            for problem in names.problems("label_value", str(item.get("value") or "")):
                errors.invalid(f"{here}.operator", item.get("value") or "", problem)
        elif operator == "Exists":
            if item.get("value"):
                errors.invalid(
                    f"{here}.operator", item["value"], "value must be empty when `operator` is 'Exists'"
                )
        else:
            errors.unsupported(f"{here}.operator", operator, ("Equal", "Exists"))
        errors.one_of(f"{here}.effect", item.get("effect"), _EFFECTS, required=False)


def _check_affinity(errors: Errors, path: str, affinity: Obj) -> None:
    node = affinity.get("nodeAffinity") or {}
    here = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        terms = required.get("nodeSelectorTerms") or ()
        if not terms:
            errors.required(f"{here}.nodeSelectorTerms", "must have at least one node selector term")
        for index, term in enumerate(terms):
            _check_node_term(errors, f"{here}.nodeSelectorTerms[{index}]", term)
    preferred = node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    for index, item in enumerate(preferred):
        at = f"{path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        _check_weight(errors, at, item)
        _check_node_term(errors, f"{at}.preference", item.get("preference") or {})
    for key in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(key) or {}
        for index, term in enumerate(part.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
            at = f"{path}.{key}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"
            _check_pod_term(errors, at, term)
        for index, item in enumerate(part.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            at = f"{path}.{key}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
            _check_weight(errors, at, item)
            _check_pod_term(errors, f"{at}.podAffinityTerm", item.get("podAffinityTerm") or {})


def _check_weight(errors: Errors, path: str, item: Obj) -> None:
    if not 1 <= (item.get("weight") or 0) <= 100:
        errors.invalid(f"{path}.weight", item.get("weight") or 0, "must be in the range 1-100")


def _check_node_term(errors: Errors, path: str, term: Obj) -> None:
    for index, item in enumerate(term.get("matchExpressions") or ()):
        here = f"{path}.matchExpressions[{index}]"
        operator, values = item.get("operator"), item.get("values") or ()
        if operator in {"In", "NotIn"} and not values:
            errors.required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in {"Exists", "DoesNotExist"} and values:
            errors.forbidden(
                f"{here}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            )
        elif operator in {"Gt", "Lt"} and len(values) != 1:
            errors.required(
                f"{here}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"
            )
        elif operator not in _NODE_OPERATORS:
            errors.invalid(f"{here}.operator", operator or "", "not a valid selector operator")
        for problem in names.qualified(str(item.get("key") or "")):
            errors.invalid(f"{here}.key", item.get("key") or "", problem)


def _check_pod_term(errors: Errors, path: str, term: Obj) -> None:
    if term.get("labelSelector") is not None:
        check_selector(errors, f"{path}.labelSelector", term["labelSelector"])
    if not term.get("topologyKey"):
        errors.required(f"{path}.topologyKey", "can not be empty")
        return
    for problem in names.qualified(term["topologyKey"]):
        errors.invalid(f"{path}.topologyKey", term["topologyKey"], problem)


def _check_spread(errors: Errors, path: str, constraints: Sequence[Obj]) -> None:
    for index, item in enumerate(constraints):
        here = f"{path}[{index}]"
        if (item.get("maxSkew") or 0) <= 0:
            errors.invalid(f"{here}.maxSkew", item.get("maxSkew") or 0, "must be greater than zero")
        if not item.get("topologyKey"):
            errors.required(f"{here}.topologyKey", "can not be empty")
        if item.get("whenUnsatisfiable") not in _UNSATISFIABLE:
            errors.unsupported(
                f"{here}.whenUnsatisfiable", item.get("whenUnsatisfiable") or "", _UNSATISFIABLE
            )


_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
    "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
    "(allow it to be set to 1 if it was previously negative)"
)


def check_pod_change(errors: Errors, new: Obj, old: Obj) -> None:
    """What of a pod may change: images, a deadline that gets shorter, more tolerations, gates that go."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    if after == before:
        return
    for key in ("containers", "initContainers"):
        counts = len(after.get(key) or ()), len(before.get(key) or ())
        if counts[0] != counts[1]:
            errors.forbidden(f"spec.{key}", "pod updates may not add or remove containers")
            return
    _check_deadline(errors, after.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    if _kept(after, before) != _kept(before, before):
        from firedrill.world.kube.schema.check.difference import difference

        errors.forbidden("spec", f"{_CHANGE}\n{difference(_kept(after, before), _kept(before, before))}")
    elif not _only_added(after.get("tolerations") or (), before.get("tolerations") or ()):
        errors.forbidden(
            "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
        )


def _check_deadline(errors: Errors, new: Any, old: Any) -> None:
    if old is None or new == old:
        return
    if new is None:
        errors.invalid(
            "spec.activeDeadlineSeconds", new, "must not update from a positive integer to nil value"
        )
    elif new > old:
        errors.invalid("spec.activeDeadlineSeconds", new, "must be less than or equal to previous value")


def _kept(spec: Obj, old: Obj) -> Obj:
    """The spec without what may change; a name of a node may be set once, by binding."""
    free = {"activeDeadlineSeconds", "tolerations", "ephemeralContainers", "schedulingGates"}
    out = {key: value for key, value in spec.items() if key not in free}
    if not old.get("nodeName"):
        out.pop("nodeName", None)
    if old.get("terminationGracePeriodSeconds", 0) < 0:
        out.pop("terminationGracePeriodSeconds", None)
    if old.get("schedulingGates"):
        for key in ("nodeSelector", "affinity"):
            out.pop(key, None)
    for key in ("containers", "initContainers"):
        if key in out:
            out[key] = [{**item, "image": ""} for item in out[key]]
    return out


def _only_added(new: Sequence[Obj], old: Sequence[Obj]) -> bool:
    def plain(items: Sequence[Obj]) -> list[Obj]:
        return [{key: value for key, value in item.items() if key != "tolerationSeconds"} for item in items]

    after = plain(new)
    return all(item in after for item in plain(old))
