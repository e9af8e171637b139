"""ValidatingAdmissionPolicy: rules in CEL that the cluster's owners wrote.

Source: `k8s.io/apiserver/pkg/admission/plugin/policy/validating` for order, defaults and wording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firedrill.world.kube import cel
from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.admission.matching import constraints_match
from firedrill.world.kube.admission.policy_audit import note_failure, note_values
from firedrill.world.kube.api.errors import ApiError, invalid, split_resource
from firedrill.world.kube.api.request import User, service_account
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of
from firedrill.world.kube.selectors import selects

GROUP = "admissionregistration.k8s.io"
POLICIES, BINDINGS = f"validatingadmissionpolicies.{GROUP}", f"validatingadmissionpolicybindings.{GROUP}"
_OWN = frozenset(
    {POLICIES, BINDINGS, f"mutatingwebhookconfigurations.{GROUP}", f"validatingwebhookconfigurations.{GROUP}"}
)
_CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}


class Variables:
    """What expressions see; the composed `variables` are evaluated when an expression names them."""

    def __init__(
        self,
        base: Mapping[str, Any],
        definitions: Sequence[Mapping[str, Any]],
        functions: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.base = dict(base)
        self.functions = functions or {}
        self.extensions = frozenset(self.functions)
        self.definitions = {str(item["name"]): str(item["expression"]) for item in definitions}
        self.known: dict[str, Any] = {}
        self.failed: dict[str, str] = {}
        self.optional: frozenset[str] = frozenset()
        order = list(self.definitions)
        for name in order:  # each sees only those before it, so one pass settles which are optionals
            try:
                if cel.compile(self.definitions[name], self.optional, self.extensions).optional:
                    self.optional |= {f"variables.{name}"}
            except cel.CelSyntaxError as problem:
                self.failed[name] = f"compilation failed: {problem}"

    def evaluate(self, text: str) -> Any:
        """The value of an expression.

        Raises:
            CelError: it has none.
            CelSyntaxError: it is no expression.
        """
        program = cel.compile(text, self.optional, self.extensions)
        wanted = program.fields_of("variables") if "variables" in program.names else []
        for name in wanted:
            self._settle(name)
        known = {name: self.known[name] for name in wanted if name in self.known}
        try:
            return program.evaluate({**self.base, "variables": known}, self.functions)
        except cel.CelError as problem:
            name = str(problem).removeprefix("no such key: ")
            if name in self.failed and name in wanted:
                raise cel.CelError(
                    f'composited variable "{name}" fails to evaluate: {self.failed[name]}'
                ) from None
            raise

    def _settle(self, name: str) -> None:
        if name in self.known or name in self.failed or name not in self.definitions:
            return
        self.failed[name] = "cyclic reference"
        try:
            value = self.evaluate(self.definitions[name])
        except (cel.CelError, cel.CelSyntaxError) as problem:
            self.failed[name] = str(problem)
            return
        del self.failed[name]
        self.known[name] = value


@dataclass(frozen=True, slots=True)
class Verdict:
    """One validation that does not hold, or that could not be decided.

    Attributes:
        message: what a person reads.
        reason: machine-readable.
        failed_to_decide: an error, not a refusal.
        index: of the validation in its policy.
    """

    message: str
    reason: str = "Invalid"
    failed_to_decide: bool = False
    index: int = 0


def request_of(a: Attributes) -> Obj:
    """The variable `request`: an `AdmissionRequest` without the objects."""
    kind = {"group": a.kind.group, "version": a.kind.version, "kind": a.kind.kind}
    resource = {"group": a.kind.group, "version": a.kind.version, "resource": a.kind.plural}
    user: Obj = {"username": a.user.name, "groups": list(a.user.groups), "uid": a.user.uid}
    user["extra"] = {key: list(values) for key, values in a.user.extra.items()}
    return {
        "kind": kind,
        "requestKind": kind,
        "resource": resource,
        "requestResource": resource,
        "subResource": a.subresource,
        "requestSubResource": a.subresource,
        "name": a.name or name_of(a.obj or {}),
        "namespace": a.namespace,
        "operation": a.operation,
        "userInfo": user,
        "dryRun": a.dry_run,
        "options": dict(a.options or {}),
    }


def access_of(a: Attributes) -> cel.Access:
    """The variable `authorizer`."""
    from firedrill.world.kube import rbac

    def ask(verb: str, account: str = "", path: str = "", **what: str) -> tuple[bool, str]:
        user: User = a.user
        if account:
            namespace, name = account.split("/", 1)
            user = service_account(namespace, name)
        return rbac.authorize(
            a.store,
            user,
            verb,
            what.get("group", ""),
            what.get("resource", ""),
            what.get("subresource", ""),
            what.get("namespace", ""),
            what.get("name", ""),
            path if not what.get("resource") else "",
        )

    here = {"group": a.kind.group, "resource": a.kind.plural, "subresource": a.subresource}
    return cel.Access(ask, {**here, "namespace": a.namespace, "name": a.name})


def variables_of(a: Attributes, params: Obj | None) -> dict[str, Any]:
    """The variables of every expression."""
    namespace = a.store.get("namespaces", "", a.namespace) if a.kind.namespaced else None
    return {
        "object": a.obj,
        "oldObject": a.old,
        "request": request_of(a),
        "params": params,
        "namespaceObject": namespace,
        "authorizer": access_of(a),
    }


_DECLARED = frozenset({"object", "oldObject", "request", "namespaceObject", "authorizer", "variables"})
_TYPES = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"})


@dataclass(frozen=True, slots=True)
class Wrong:
    """A field with an expression that cannot be compiled."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def problems(spec: Mapping[str, Any]) -> Iterator[Wrong]:
    """What is wrong with the expressions of a policy, as its writer is told."""
    known = _DECLARED | _TYPES | ({"params"} if spec.get("paramKind") else frozenset())
    parts = (
        ("matchConditions", "expression", known - {"variables"}),
        ("variables", "expression", known),
        ("validations", "expression", known),
        ("validations", "messageExpression", known),
        ("auditAnnotations", "valueExpression", known),
    )
    for field, key, names in parts:
        for number, item in enumerate(spec.get(field) or ()):
            text = item.get(key)
            problem = _problem(text, names) if isinstance(text, str) and text else ""
            if problem:
                where = f"spec.{field}[{number}].{key}"
                yield Wrong(where, f'Invalid value: "{text}": compilation failed: {problem}')


def _problem(text: str, names: frozenset[str]) -> str:
    try:
        program = cel.compile(text)
    except cel.CelSyntaxError as problem:
        return str(problem)
    for name, at in program.names.items():
        if name not in names:
            return str(cel.CelSyntaxError(text, at, f"undeclared reference to '{name}' (in container '')"))
    return ""


class ValidatingAdmissionPolicy(Base):
    """Evaluates every policy that a binding puts in force."""

    name = "ValidatingAdmissionPolicy"

    def validate(self, a: Attributes) -> list[str]:
        """Refuse, or warn, as the bindings say; refuse a policy whose expressions are none."""
        if a.resource == POLICIES and a.obj is not None and not a.subresource:
            wrong = list(problems(a.obj.get("spec") or {}))
            if wrong:
                raise invalid(GROUP, "ValidatingAdmissionPolicy", name_of(a.obj), wrong)
        if a.resource in _OWN:
            return []
        warnings: list[str] = []
        for binding in a.store.list(BINDINGS):
            policy = a.store.get(POLICIES, "", dig(binding, "spec", "policyName", default=""))
            if policy is None or not constraints_match(a, dig(policy, "spec", "matchConstraints")):
                continue
            if not constraints_match(a, dig(binding, "spec", "matchResources")):
                continue
            warnings += _bound(a, policy, binding)
        return warnings


def _bound(a: Attributes, policy: Obj, binding: Obj) -> list[str]:
    actions = dig(binding, "spec", "validationActions", default=())
    head = f"ValidatingAdmissionPolicy '{name_of(policy)}' with binding '{name_of(binding)}' denied request: "
    warnings = []
    for verdict in _verdicts(a, policy, binding):
        if "Warn" in actions and not verdict.failed_to_decide:
            warnings.append(
                f"Validation failed for {head.removesuffix(' denied request: ')}: {verdict.message}"
            )
        if "Audit" in actions and not verdict.failed_to_decide:
            note_failure(a, policy, binding, verdict.index, verdict.message)
        if "Deny" in actions or verdict.failed_to_decide:
            raise _refusal(a, verdict, head + verdict.message)
    return warnings


def _refusal(a: Attributes, verdict: Verdict, message: str) -> ApiError:
    plural, group = split_resource(a.resource)
    name = a.name or name_of(a.obj or {})
    details: Obj = {"name": name, "kind": plural, "causes": [{"message": message}]}
    if group:
        details["group"] = group
    text = f'{a.resource} "{name}" is forbidden: {message}'
    return ApiError(_CODES.get(verdict.reason, 422), verdict.reason, text, details)


def _verdicts(a: Attributes, policy: Obj, binding: Obj) -> Iterator[Verdict]:
    spec = policy["spec"]
    fails = spec.get("failurePolicy", "Fail") == "Fail"
    params, problem = _params(a, spec.get("paramKind"), dig(binding, "spec", "paramRef"))
    if problem:
        if fails:
            yield Verdict(problem, failed_to_decide=True)
        return
    for found in params:
        base = variables_of(a, found)
        if spec.get("auditAnnotations"):
            note_values(a, policy, Variables(base, spec.get("variables") or ()).evaluate)
        yield from judge(spec, base, fails=fails)


def judge(
    spec: Mapping[str, Any],
    base: Mapping[str, Any],
    *,
    fails: bool,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> Iterator[Verdict]:
    """What of a policy does not hold.

    Args:
        spec: matchConditions, variables and validations.
        base: the variables of expressions.
        fails: what cannot be decided counts as refused.
        functions: extensions of CEL, as in `{"resource.Get": …}`.
    """
    variables = Variables(base, spec.get("variables") or (), functions)
    for item in spec.get("matchConditions") or ():
        try:
            if variables.evaluate(item["expression"]) is not True:
                return
        except (cel.CelError, cel.CelSyntaxError) as problem:
            if fails:
                yield Verdict(
                    f"expression '{item['expression']}' resulted in error: {problem}", failed_to_decide=True
                )
            return
    for index, item in enumerate(spec.get("validations") or ()):
        expression = item["expression"].strip()
        try:
            value = variables.evaluate(item["expression"])
        except cel.CelSyntaxError as problem:
            if fails:
                yield Verdict(
                    f"expression '{expression}' resulted in error: compilation error: {problem}", index=index
                )
            continue
        except cel.CelError as problem:
            if fails:
                yield Verdict(f"expression '{expression}' resulted in error: {problem}", index=index)
            continue
        if value is not True:
            yield Verdict(_message(variables, item, expression), item.get("reason") or "Invalid", index=index)


def _message(variables: Variables, item: Mapping[str, Any], expression: str) -> str:
    text = item.get("messageExpression")
    if text:
        try:
            found = variables.evaluate(text)
        except (cel.CelError, cel.CelSyntaxError):
            found = None  # a broken message must not hide the refusal: the next best is shown
        if isinstance(found, str) and found.strip() and "\n" not in found and len(found) <= 5120:
            return found.strip()
    message = (item.get("message") or "").strip()
    return message or f"failed expression: {expression}"


def _params(
    a: Attributes, kind: Mapping[str, Any] | None, reference: Mapping[str, Any] | None
) -> tuple[list[Obj | None], str]:
    """The parameter objects to evaluate with, or what is wrong."""
    if not kind or not reference:
        return [None], ""
    group, _, version = str(kind.get("apiVersion")).rpartition("/")
    found = a.world.cluster.kinds.by_gvk(group, version, kind.get("kind"))
    if found is None:
        shown = f"'{kind.get('apiVersion')}, Kind={kind.get('kind')}'"
        return [], f"failed to configure policy: failed to find resource referenced by paramKind: {shown}"
    namespace = (reference.get("namespace") or a.namespace) if found.namespaced else ""
    if reference.get("name"):
        one = a.store.get(found.resource, namespace, reference["name"])
        objects = [one] if one is not None else []
    else:
        every = a.store.list(found.resource, namespace if found.namespaced else None)
        objects = [item for item in every if selects(reference.get("selector") or {}, labels_of(item))]
    if not objects and reference.get("parameterNotFoundAction", "Deny") == "Deny":
        problem = "no params found for policy binding with `Deny` parameterNotFoundAction"
        return [], f"failed to configure binding: {problem}"
    return list(objects), ""
