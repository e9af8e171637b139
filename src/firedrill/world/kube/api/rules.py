"""The rules that a request goes through, gathered from the rooms that know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import admission, audit, patch, rbac, schema
from firedrill.world.kube.api import conversion, errors
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import Options, Request, Response, User
from firedrill.world.kube.objects import Obj, name_of

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World


def stored_kind(world: World, kind: Kind) -> Kind:
    """The kind in the version in which its objects are stored."""
    return world.cluster.kinds.storage(kind.resource) or kind


def asked_kind(world: World, request: Request) -> Kind:
    """The kind in the version of the path."""
    found: Kind = world.cluster.kinds.by_gvr(request.group, request.version, request.plural)
    return found


def convert_answer(world: World, kind: Kind, response: Response) -> Response:
    """The answer in the version that was asked for."""
    obj = conversion.from_storage(kind, stored_kind(world, kind), response.obj)
    return response if obj is response.obj else replace(response, obj=obj)


def authorize(world: World, request: Request) -> None:
    """Ask the roles whether the user may.

    Raises:
        ApiError: 403, in the words of the API server.
    """
    user = request.user
    where = (
        request.verb,
        request.group,
        request.plural,
        request.subresource,
        request.namespace,
        request.name,
    )
    allowed, reason = rbac.authorize(world.cluster.store, user, *where)
    audit.note_authorization(request.notes, allowed, reason)
    if not allowed:
        raise rbac.denial(user, *where)


def may(
    world: World, user: User, resource: Mapping[str, Any] | None, path: Mapping[str, Any] | None
) -> tuple[bool, str]:
    """Whether a user may do what an access review asks for, and why."""
    here = resource or {}
    verb = str((here or path or {}).get("verb") or "")
    allowed, reason = rbac.authorize(
        world.cluster.store,
        user,
        verb,
        str(here.get("group") or ""),
        str(here.get("resource") or ""),
        str(here.get("subresource") or ""),
        str(here.get("namespace") or ""),
        str(here.get("name") or ""),
        nonresource_path=str((path or {}).get("path") or ""),
    )
    return allowed, reason


def rules_for(world: World, user: User, namespace: str) -> Obj:
    """The status of a SelfSubjectRulesReview."""
    resources, paths = rbac.rules_for(world.cluster.store, user, namespace)
    return {"incomplete": False, "resourceRules": resources, "nonResourceRules": paths}


def decode(
    world: World, request: Request, kind: Kind, body: Any, old: Obj | None = None
) -> tuple[Obj, list[str]]:
    """The object in a body, in the version it is stored in, and warnings about fields nobody knows.

    Args:
        old: as it is stored; what the body shares with it is not decoded again.

    Raises:
        ApiError: the body is no such object, or holds unknown fields and the request is strict.
    """
    if request.trusted:
        return body, []
    asked = asked_kind(world, request)
    if not isinstance(body, dict) or not isinstance(body.get("metadata", {}), dict):
        raise errors.bad_request(
            f'{asked.kind} in version "{asked.version}" cannot be handled as a {asked.kind}'
        )
    version, name = body.get("apiVersion") or asked.api_version, body.get("kind") or asked.kind
    if version != asked.api_version:
        raise errors.bad_request(
            f"the API version in the data ({version}) does not match "
            f"the expected API version ({asked.api_version})"
        )
    if name != asked.kind:
        raise errors.bad_request(
            f'{name} in version "{asked.version}" cannot be handled as a {asked.kind}: '
            f"no kind {name!r} is registered for version {asked.api_version!r}"
        )
    body = {**body, "apiVersion": version, "kind": name}
    decoded = schema.decode(schema.schema_for(asked), body, known=old if asked is kind else None)
    warnings = list(decoded.problems)
    mode = request.options.field_validation or "Warn"
    if warnings and mode == "Strict":
        raise errors.bad_request(
            f'{asked.kind} in version "{asked.version}" cannot be handled as a {asked.kind}: '
            f"strict decoding error: {', '.join(warnings)}"
        )
    if mode == "Ignore":
        warnings = []
    return conversion.to_storage(asked, kind, decoded.obj), warnings


def default(world: World, request: Request, kind: Kind, obj: Obj, old: Obj | None = None) -> Obj:
    """The object with every field that the server fills in; what it shares with the stored one has them."""
    return schema.default(kind, obj, known=old)


def mutate(world: World, request: Request, kind: Kind, obj: Obj, old: Obj | None) -> tuple[Obj, list[str]]:
    """The object after the plugins that change what comes in.

    Raises:
        ApiError: a plugin refuses it.
    """
    return admission.mutate(_attributes(world, request, kind, obj, old))


def admit(world: World, request: Request, kind: Kind, obj: Obj | None, old: Obj | None) -> list[str]:
    """Warnings of the plugins that only judge.

    Raises:
        ApiError: a plugin refuses it.
    """
    return admission.validate(_attributes(world, request, kind, obj, old))


def _attributes(
    world: World, request: Request, kind: Kind, obj: Obj | None, old: Obj | None
) -> admission.Attributes:
    operation: Any = "CREATE" if old is None else ("DELETE" if obj is None else "UPDATE")
    return admission.Attributes(
        world=world,
        operation=operation,
        kind=kind,
        namespace=request.namespace,
        name=request.name or name_of(obj or {}),
        subresource=request.subresource,
        obj=obj,
        old=old,
        user=request.user,
        dry_run=request.options.dry_run,
        options={},
        notes=request.notes,
    )


def check(world: World, request: Request, kind: Kind, obj: Obj, old: Obj | None) -> None:
    """Hold the object against the rules of its kind.

    Raises:
        ApiError: 422 with every broken rule, or 403 for a grant beyond what its writer holds.
    """
    rbac.check_escalation(world.cluster.store, request.user, kind.resource, obj, old)
    if request.trusted:
        return
    found = schema.validate(kind, obj, old, cel=_custom_rule if kind.custom else None)
    if found:
        raise errors.invalid(kind.group, kind.kind, name_of(obj), found)


def _custom_rule(rule: Mapping[str, Any], value: Any, old: Any) -> str | None:
    """Judge a value by one entry of `x-kubernetes-validations`: None where it holds, else the message."""
    from firedrill.world.kube import cel

    text = str(rule.get("rule") or "")
    variables = {"self": value} if old is None else {"self": value, "oldSelf": old}
    try:
        program = cel.compile(text)
        if "oldSelf" in program.names and old is None:
            return None  # a rule of changes has nothing to say of a new object
        if program.evaluate(variables) is True:
            return None
        told = str(rule.get("messageExpression") or "")
        words = cel.compile(told).evaluate(variables) if told else rule.get("message")
    except (cel.CelError, cel.CelSyntaxError) as problem:
        return f"rule evaluation error: {problem}"
    return str(words or f"failed rule: {text}")


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One broken rule, as `Status.details.causes` and the message tell it."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def required(field: str, detail: str) -> FieldProblem:
    """The field error of a missing value."""
    text = f"Required value: {detail}" if detail else "Required value"
    return FieldProblem(field, "FieldValueRequired", text)


def invalid_value(field: str, value: object, detail: str) -> FieldProblem:
    """The field error of a value that cannot be."""
    shown = f'"{value}"' if isinstance(value, str) else value
    return FieldProblem(field, "FieldValueInvalid", f"Invalid value: {shown}: {detail}")


def forbidden_field(field: str, detail: str) -> FieldProblem:
    """The field error of a change that is not allowed."""
    return FieldProblem(field, "FieldValueForbidden", f"Forbidden: {detail}")


def manager_of(request: Request) -> str:
    """The field manager of a write: as given, or the name of the program that sent it."""
    return request.options.field_manager or request.user_agent.split("/", 1)[0] or "unknown"


def track(world: World, request: Request, kind: Kind, old: Obj | None, new: Obj, through: str = "") -> Obj:
    """The object with the managers of its fields brought up to date, written `through` a subresource."""
    if request.patch_type == "apply" or kind.resource == "events":
        return new
    api_version = f"{request.group}/{request.version}" if request.group else request.version
    manager = manager_of(request)
    subresource = through or request.subresource
    return patch.track_update(old, new, manager, world.time, api_version, subresource, _schema(kind))


def _schema(kind: Kind) -> Any:
    return schema.schema_for(kind)


def patched(world: World, request: Request, kind: Kind, old: Obj) -> Obj:
    """The object in the version of the path, after the patch in the body.

    Raises:
        ApiError: the patch is malformed or does not fit.
    """
    asked = asked_kind(world, request)
    base = conversion.from_storage(asked, kind, old)
    try:
        if request.patch_type == "json":
            return patch.json_patch(base, request.body)
        if request.patch_type == "merge":
            return patch.merge_patch(base, request.body)
        if kind.custom:
            raise errors.unsupported_media_type(
                (
                    "application/json-patch+json",
                    "application/merge-patch+json",
                    "application/apply-patch+yaml",
                ),
                "",
            )
        return patch.strategic_merge(base, request.body, _schema(asked))
    except patch.PatchError as problem:
        raise ApiError(problem.code, problem.reason, problem.message, problem.details) from None


def applied(world: World, request: Request, kind: Kind, old: Obj | None, body: Obj) -> Obj:
    """The object after a server-side apply of the body.

    Raises:
        ApiError: 409 where another manager owns a field with another value.
    """
    if not request.options.field_manager:
        raise errors.invalid(
            "meta.k8s.io",
            "PatchOptions",
            "",
            [required("fieldManager", "is required for apply patch")],
        )
    try:
        out: Obj = patch.server_side_apply(
            old,
            body,
            request.options.field_manager,
            _schema(kind),
            request.options.force,
            world.time,
            kind.api_version,
            request.subresource,
        )
    except patch.PatchError as problem:
        raise ApiError(problem.code, problem.reason, problem.message, problem.details) from None
    return out


def delete_options(request: Request) -> Options:
    """The options of a delete: of the query, and of a `DeleteOptions` body on top.

    Raises:
        ApiError: the body is something else.
    """
    body = request.body
    if body is None:
        return request.options
    if not isinstance(body, Mapping) or body.get("kind", "DeleteOptions") != "DeleteOptions":
        raise errors.bad_request("expected DeleteOptions")
    more: dict[str, Any] = {}
    if body.get("gracePeriodSeconds") is not None:
        more["grace_period_seconds"] = int(body["gracePeriodSeconds"])
    if body.get("propagationPolicy"):
        more["propagation_policy"] = str(body["propagationPolicy"])
    elif body.get("orphanDependents") is not None:
        more["propagation_policy"] = "Orphan" if body["orphanDependents"] else "Background"
    if body.get("preconditions"):
        more["preconditions"] = dict(body["preconditions"])
    if body.get("dryRun"):
        more["dry_run"] = True
    return replace(request.options, **more)
