"""Subresources and reviews: paths that mean something else than reading or writing the object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.api import errors, rules, strategy, writing
from firedrill.world.kube.api.deleting import remove
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.reading import read
from firedrill.world.kube.api.request import Options, Request, Response, service_account
from firedrill.world.kube.objects import Obj, dig, is_deleting, meta, name_of, namespace_of, with_path
from firedrill.world.kube.patch import PatchError, json_patch, merge_patch
from firedrill.world.kube.selectors import Requirement, from_object, of_map

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World

_SCALED = ("deployments.apps", "replicasets.apps", "statefulsets.apps", "replicationcontrollers")
_MANAGED = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


# --- scale


def _scale(world: World, request: Request, kind: Kind) -> Response:
    stored = rules.stored_kind(world, kind)
    obj = _scaled(world, stored, request)
    wanted_at, status_at, selector_at = _scale_paths(world, stored, request.version)
    now = _scale_of(obj, wanted_at, status_at, selector_at)
    if request.verb == "get":
        return Response(200, now)
    if request.verb not in {"update", "patch"}:
        raise errors.method_not_allowed()
    asked = request.body if request.verb == "update" else _patched(now, request)
    if not isinstance(asked, dict):
        raise errors.bad_request("the object provided is no Scale")
    replicas = dig(asked, "spec", "replicas", default=0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise errors.invalid(
            "autoscaling",
            "Scale",
            request.name,
            [rules.invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")],
        )
    version = meta(asked).get("resourceVersion") if request.verb == "update" else None
    new = with_path(obj, wanted_at, replicas)
    if version:
        new = with_path(new, ("metadata", "resourceVersion"), version)
    inner = replace(request, subresource="", body=new, verb="update", patch_type=None, trusted=True)
    done = writing.replace(world, inner, stored, obj, new, through="scale")
    return Response(200, _scale_of(done.obj, wanted_at, status_at, selector_at), done.warnings)


def _scaled(world: World, stored: Kind, request: Request) -> Obj:
    """The object that is to be scaled; a workload that is not there is missed as `deployments/scale.apps`."""
    try:
        return read(world, stored, request.namespace, request.name)
    except ApiError as problem:
        if problem.code != 404 or stored.group not in {"apps", ""}:
            raise
        group = f".{stored.group}" if stored.group else ".autoscaling"
        raise errors.not_found(f"{stored.plural}/scale{group}", request.name) from None


def _patched(obj: Obj, request: Request) -> Obj:
    try:
        if request.patch_type == "json":
            return json_patch(obj, request.body)
        return merge_patch(obj, request.body)
    except PatchError as problem:
        raise ApiError(problem.code, problem.reason, problem.message) from None


def _scale_paths(world: World, kind: Kind, version: str) -> tuple[tuple[str, ...], tuple[str, ...], Any]:
    if not kind.custom:
        return ("spec", "replicas"), ("status", "replicas"), None
    crd = world.cluster.store.get("customresourcedefinitions.apiextensions.k8s.io", "", kind.resource)
    for item in dig(crd, "spec", "versions", default=()):
        if item.get("name") == version:
            scale = dig(item, "subresources", "scale", default={})
            paths = [
                tuple(part for part in str(scale.get(key) or "").split(".") if part)
                for key in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
            ]
            return paths[0], paths[1], paths[2]
    raise errors.no_such_path()


def _scale_of(obj: Obj, wanted_at: tuple[str, ...], status_at: tuple[str, ...], selector_at: Any) -> Obj:
    status: Obj = {"replicas": int(dig(obj, *status_at, default=0))}
    if selector_at is None:
        selector = dig(obj, "spec", "selector")
        plain = obj["kind"] == "ReplicationController"
        requirements = of_map(selector) if plain else from_object(selector)
        if requirements:
            status["selector"] = _selector_text(requirements)
    elif selector_at:
        status["selector"] = dig(obj, *selector_at, default="")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: meta(obj)[key] for key in _MANAGED if key in meta(obj)},
        "spec": {"replicas": int(dig(obj, *wanted_at, default=0))},
        "status": status,
    }


def _selector_text(requirements: tuple[Requirement, ...]) -> str:
    out = []
    for key, operator, values in requirements:
        if operator == "in" and len(values) == 1:
            out.append(f"{key}={values[0]}")
        elif operator in {"in", "notin"}:
            out.append(f"{key} {operator} ({','.join(sorted(values))})")
        else:
            out.append(key if operator == "exists" else f"!{key}")
    return ",".join(out)


# --- pods


def _binding(world: World, request: Request, kind: Kind) -> Response:
    if request.verb != "create":
        raise errors.method_not_allowed()
    pod = writing.stored(world, kind, request.namespace, request.name)
    target = dig(request.body, "target", "name", default="")
    if not target:
        raise errors.invalid("", "Binding", request.name, [rules.required("target.name", "")])
    if is_deleting(pod):
        raise errors.conflict(
            "pods/binding", request.name, f"pod {request.name} is being deleted, cannot be assigned to a host"
        )
    already = dig(pod, "spec", "nodeName")
    if already:
        raise errors.conflict(
            "pods/binding", request.name, f'pod {request.name} is already assigned to node "{already}"'
        )
    conditions = [
        item for item in dig(pod, "status", "conditions", default=()) if item["type"] != "PodScheduled"
    ]
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": world.time,
    }
    new = with_path(pod, ("spec", "nodeName"), str(target))
    new = with_path(new, ("status", "conditions"), [*conditions, scheduled])
    if not request.options.dry_run:
        writing.save(world, kind.resource, new)
    return Response(201, _success(201))


def _success(code: int) -> Obj:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code}


def _eviction(world: World, request: Request, kind: Kind) -> Response:
    from firedrill.world.kube.controllers import disruption

    if request.verb != "create":
        raise errors.method_not_allowed()
    if dig(request.body, "metadata", "name", default="") not in {"", request.name}:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    pod = writing.stored(world, kind, request.namespace, request.name)
    given = dig(request.body, "deleteOptions", default={})
    options = rules.delete_options(
        replace(request, body={"kind": "DeleteOptions", **given}, options=Options())
    )
    dry = options.dry_run or request.options.dry_run
    ended = dig(pod, "status", "phase") in {"Succeeded", "Failed"} or is_deleting(pod)
    if not ended:
        refusal = disruption.may_evict(world, pod, dry_run=dry)
        if refusal is not None:
            raise refusal
    if not dry:
        now = world.cluster.store.get("pods", request.namespace, request.name) or pod
        marked = _disrupted(world, now)
        if marked is not now:
            now = writing.save(world, "pods", marked)
        remove(world, "pods", now, options)
    return Response(201, _success(201))


def _disrupted(world: World, pod: Obj) -> Obj:
    conditions = list(dig(pod, "status", "conditions", default=()))
    if any(item["type"] == "DisruptionTarget" for item in conditions):
        return pod
    mark = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": world.time,
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    return with_path(pod, ("status", "conditions"), [*conditions, mark])


def _ephemeral(world: World, request: Request, kind: Kind) -> Response:
    pod = writing.stored(world, kind, request.namespace, request.name)
    if request.verb == "get":
        return Response(200, pod)
    given = rules.patched(world, request, kind, pod) if request.verb == "patch" else request.body
    before = list(dig(pod, "spec", "ephemeralContainers", default=()))
    after = list(dig(given, "spec", "ephemeralContainers", default=()))
    if after[: len(before)] != before:
        raise errors.invalid(
            "",
            "Pod",
            request.name,
            [
                rules.forbidden_field(
                    "spec.ephemeralContainers", "existing ephemeral containers may not be changed or removed"
                )
            ],
        )
    new = with_path(pod, ("spec", "ephemeralContainers"), after)
    return writing.replace(world, replace(request, body=new, trusted=True), kind, pod, new)


# --- namespaces, certificates, tokens


def _finalize(world: World, request: Request, kind: Kind) -> Response:
    if request.verb != "update":
        raise errors.method_not_allowed()
    old = writing.stored(world, kind, "", request.name)
    left = dig(request.body, "spec", "finalizers", default=[])
    new = with_path(old, ("spec", "finalizers"), list(left))
    return writing.replace(world, replace(request, trusted=True), kind, old, new)


def _approval(world: World, request: Request, kind: Kind) -> Response:
    old = writing.stored(world, kind, "", request.name)
    if request.verb == "get":
        return Response(200, old)
    given = rules.patched(world, request, kind, old) if request.verb == "patch" else request.body
    conditions = dig(given, "status", "conditions", default=[])
    new = with_path(old, ("status", "conditions"), conditions)
    return writing.replace(world, replace(request, trusted=True), kind, old, new)


def _token(world: World, request: Request, kind: Kind) -> Response:
    if request.verb != "create":
        raise errors.method_not_allowed()
    account = writing.stored(world, kind, request.namespace, request.name)
    seconds = int(dig(request.body, "spec", "expirationSeconds", default=3600))
    if not 600 <= seconds <= 2**32:
        raise errors.invalid(
            "authentication.k8s.io",
            "TokenRequest",
            "",
            [
                rules.invalid_value(
                    "spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"
                )
            ],
        )
    from firedrill.world.kube import tokens

    text, until = tokens.issue(world, namespace_of(account), name_of(account), seconds)
    body = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": name_of(account),
            "namespace": namespace_of(account),
            "creationTimestamp": world.time,
        },
        "spec": {
            "audiences": dig(request.body, "spec", "audiences", default=[tokens.AUDIENCE]),
            "expirationSeconds": seconds,
            "boundObjectRef": dig(request.body, "spec", "boundObjectRef"),
        },
        "status": {"token": text, "expirationTimestamp": until},
    }
    return Response(201, body)


# --- reviews


def _review(world: World, request: Request, kind: Kind) -> Response:
    if request.verb != "create":
        raise errors.method_not_allowed()
    body, warnings = rules.decode(world, request, kind, request.body)
    status = _REVIEWS[kind.plural](world, request, body)
    return Response(201, {**body, "status": status}, tuple(warnings))


def _access(world: World, request: Request, body: Obj) -> Obj:
    spec = body.get("spec") or {}
    if request.plural == "selfsubjectaccessreviews":
        user = request.user
    else:
        user = replace(
            request.user,
            name=str(spec.get("user") or ""),
            groups=tuple(spec.get("groups") or ()),
            uid=str(spec.get("uid") or ""),
        )
    allowed, reason = rules.may(
        world, user, spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    )
    out: Obj = {"allowed": allowed}
    if reason:
        out["reason"] = reason
    return out


def _rules_review(world: World, request: Request, body: Obj) -> Obj:
    namespace = str(dig(body, "spec", "namespace", default="default"))
    return rules.rules_for(world, request.user, namespace)


def _self_subject(world: World, request: Request, _: Obj) -> Obj:
    del world
    user = request.user
    info: Obj = {"username": user.name, "groups": [*user.groups, "system:authenticated"]}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(items) for key, items in user.extra.items()}
    return {"userInfo": info}


def _token_review(world: World, _: Request, body: Obj) -> Obj:
    from firedrill.world.kube import tokens

    found = tokens.holder(world, str(dig(body, "spec", "token", default="")))
    if found is None:
        return {"authenticated": False, "user": {}, "error": "[invalid bearer token]"}
    user = service_account(*found)
    info = {"username": user.name, "groups": [*user.groups, "system:authenticated"]}
    return {"authenticated": True, "user": info, "audiences": [tokens.AUDIENCE]}


_REVIEWS = {
    "selfsubjectaccessreviews": _access,
    "subjectaccessreviews": _access,
    "localsubjectaccessreviews": _access,
    "selfsubjectrulesreviews": _rules_review,
    "selfsubjectreviews": _self_subject,
    "tokenreviews": _token_review,
}


def _install() -> None:
    for resource in _SCALED:
        strategy.on_subresource(resource, "scale", _scale)
    strategy.on_any_subresource("scale", _scale)
    strategy.on_subresource("pods", "binding", _binding)
    strategy.on_subresource("pods", "eviction", _eviction)
    strategy.on_subresource("pods", "ephemeralcontainers", _ephemeral)
    strategy.on_subresource("namespaces", "finalize", _finalize)
    strategy.on_subresource("serviceaccounts", "token", _token)
    strategy.on_subresource("certificatesigningrequests.certificates.k8s.io", "approval", _approval)
    for plural in _REVIEWS:
        group = (
            "authentication.k8s.io"
            if plural in {"selfsubjectreviews", "tokenreviews"}
            else "authorization.k8s.io"
        )
        strategy.on_subresource(f"{plural}.{group}", "", _review)


_install()
