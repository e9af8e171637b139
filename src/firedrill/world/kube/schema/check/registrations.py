"""The rules of webhooks, Leases, IngressClasses, RuntimeClasses and certificate requests.

Source: `pkg/apis/{admissionregistration,coordination,networking,node,certificates}/validation`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.schema.check import names
from firedrill.world.kube.schema.check.fields import Errors, Go, go_text
from firedrill.world.kube.schema.check.metadata import check_selector

_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_REVIEWS = ("v1", "v1beta1")
_ACTIONS = ("Audit", "Deny", "Warn")
_USAGES = frozenset(
    {
        "signing",
        "digital signature",
        "content commitment",
        "key encipherment",
        "key agreement",
        "data encipherment",
        "cert sign",
        "crl sign",
        "encipher only",
        "decipher only",
        "any",
        "server auth",
        "client auth",
        "code signing",
        "email protection",
        "s/mime",
        "ipsec end system",
        "ipsec tunnel",
        "ipsec user",
        "timestamping",
        "ocsp signing",
        "microsoft sgc",
        "netscape sgc",
    }
)


def check_webhooks(errors: Errors, obj: Obj) -> None:
    """A MutatingWebhookConfiguration or ValidatingWebhookConfiguration."""
    seen: set[str] = set()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        here = f"webhooks[{index}]"
        _check_webhook(errors, here, hook)
        _check_reviews(errors, f"{here}.admissionReviewVersions", hook.get("admissionReviewVersions") or ())
        name = str(hook.get("name") or "")
        if name and name in seen:
            errors.duplicate(f"{here}.name", name)
        seen.add(name)


def _check_webhook(errors: Errors, path: str, hook: Obj) -> None:
    name = str(hook.get("name") or "")
    if not name:
        errors.required(f"{path}.name")
    elif found := names.problems("subdomain", name):
        errors.invalid(f"{path}.name", name, found[0])
    elif name.count(".") < 2:
        errors.invalid(
            f"{path}.name", name, "should be a domain with at least three segments separated by dots"
        )
    for index, rule in enumerate(hook.get("rules") or ()):
        check_rule(errors, f"{path}.rules[{index}]", rule)
    for key, allowed in (
        ("failurePolicy", ("Fail", "Ignore")),
        ("matchPolicy", ("Equivalent", "Exact")),
    ):
        if hook.get(key) is not None and hook[key] not in allowed:
            errors.unsupported(f"{path}.{key}", hook[key], allowed)
    effects = hook.get("sideEffects")
    if effects is None:
        errors.required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun")
    elif effects not in {"None", "NoneOnDryRun"}:
        errors.unsupported(f"{path}.sideEffects", effects, ("None", "NoneOnDryRun"))
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        errors.invalid(
            f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds"
        )
    for key in ("namespaceSelector", "objectSelector"):
        if hook.get(key) is not None:
            check_selector(errors, f"{path}.{key}", hook[key])
    again = hook.get("reinvocationPolicy")
    if again is not None and again not in {"IfNeeded", "Never"}:
        errors.unsupported(f"{path}.reinvocationPolicy", again, ("IfNeeded", "Never"))
    _check_client(errors, f"{path}.clientConfig", hook.get("clientConfig") or {})


def _check_client(errors: Errors, path: str, config: Obj) -> None:
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        errors.required(path, "exactly one of url or service is required")
    elif url is not None:
        _check_url(errors, f"{path}.url", str(url))
    else:
        here = f"{path}.service"
        for key in ("name", "namespace"):
            if not (service or {}).get(key):
                errors.required(f"{here}.{key}", f"service {key} is required")
        port = (service or {}).get("port", 443)
        if names.port_number(port):
            errors.invalid(f"{here}.port", port, "port is not valid: must be between 1 and 65535, inclusive")
        _check_path(errors, f"{here}.path", (service or {}).get("path"))


def _check_path(errors: Errors, path: str, text: Any) -> None:
    if not text or text == "/":
        return
    if not text.startswith("/"):
        errors.invalid(path, text, "must start with a '/'")
    parts = text[1:].split("/")
    if text.endswith("/"):
        parts.pop()
    for index, part in enumerate(parts):
        if not part:
            errors.invalid(path, text, f"segment[{index}] may not be empty")
            continue
        for problem in names.problems("subdomain", part):
            errors.invalid(path, text, f"segment[{index}]: {problem}")


def _check_url(errors: Errors, path: str, text: str) -> None:
    form = "; desired format: https://host[/path]"
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError as problem:
        errors.required(path, f"url must be a valid URL: {problem}{form}")
        return
    if url.scheme != "https":
        errors.invalid(path, url.scheme, f"'https' is the only allowed URL scheme{form}")
    if not host:
        errors.invalid(path, url.netloc, f"host must be specified{form}")
    if "@" in url.netloc:
        errors.invalid(path, url.netloc.rpartition("@")[0], "user information is not permitted in the URL")
    if url.fragment:
        errors.invalid(path, url.fragment, "fragments are not permitted in the URL")
    if url.query:
        errors.invalid(path, url.query, "query parameters are not permitted in the URL")


def check_rule(errors: Errors, path: str, rule: Obj) -> None:
    """One entry of `rules`: operations, groups, versions, resources."""
    operations = rule.get("operations") or ()
    if not operations:
        errors.required(f"{path}.operations")
    if len(operations) > 1 and "*" in operations:
        errors.invalid(
            f"{path}.operations",
            list(operations),
            "if '*' is present, must not specify other operations",
        )
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            errors.unsupported(f"{path}.operations[{index}]", operation, _OPERATIONS)
    for key, title in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        items = rule.get(key) or ()
        if not items:
            errors.required(f"{path}.{key}")
        if len(items) > 1 and "*" in items:
            errors.invalid(f"{path}.{key}", list(items), f"if '*' is present, must not specify other {title}")
    resources = rule.get("resources") or ()
    if not resources:
        errors.required(f"{path}.resources")
    for index, item in enumerate(resources):
        if not item:
            errors.required(f"{path}.resources[{index}]")
    if len(resources) > 1 and "*/*" in resources:
        errors.invalid(
            f"{path}.resources",
            list(resources),
            "if '*/*' is present, must not specify other resources",
        )
    elif "*" in resources and any("/" not in item and item != "*" for item in resources):
        errors.invalid(
            f"{path}.resources",
            list(resources),
            "if '*' is present, must not specify other resources without subresources",
        )
    scope = rule.get("scope")
    if scope is not None and scope not in {"*", "Cluster", "Namespaced"}:
        errors.unsupported(f"{path}.scope", scope, ("*", "Cluster", "Namespaced"))


def _check_reviews(errors: Errors, path: str, versions: Sequence[str]) -> None:
    if not versions:
        errors.required(path, f"must specify one of {', '.join(_REVIEWS)}")
        return
    seen: set[str] = set()
    for index, version in enumerate(versions):
        if version in seen:
            errors.invalid(f"{path}[{index}]", version, "duplicate version")
            continue
        seen.add(version)
        for problem in names.problems("label1035", version):
            errors.invalid(f"{path}[{index}]", version, problem)
    if seen.isdisjoint(_REVIEWS):
        errors.invalid(path, list(versions), f"must include at least one of {', '.join(_REVIEWS)}")


def check_policy_binding(errors: Errors, obj: Obj) -> None:
    """A ValidatingAdmissionPolicyBinding."""
    spec = obj.get("spec") or {}
    policy = str(spec.get("policyName") or "")
    if not policy:
        errors.required("spec.policyName")
    else:
        for problem in names.problems("subdomain", policy):
            errors.invalid("spec.policyName", policy, problem)
    actions = spec.get("validationActions") or ()
    if not actions:
        errors.required("spec.validationActions")
    seen: set[str] = set()
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            errors.unsupported(f"spec.validationActions[{index}]", action, _ACTIONS)
        if action in seen:
            errors.duplicate(f"spec.validationActions[{index}]", action)
        seen.add(action)
    if {"Deny", "Warn"} <= seen:
        errors.invalid(
            "spec.validationActions",
            list(actions),
            "must not contain both Deny and Warn (repeating the same validation failure information "
            "in the API response and headers serves no purpose)",
        )


def check_lease(errors: Errors, obj: Obj) -> None:
    """A Lease."""
    spec = obj.get("spec") or {}
    seconds, moves = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        errors.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    errors.not_negative("spec.leaseTransitions", moves)


def check_ingress_class(errors: Errors, obj: Obj) -> None:
    """An IngressClass."""
    controller = str(dig(obj, "spec", "controller") or "")
    if not controller:
        errors.required("spec.controller")
    elif len(controller) > 250:
        errors.too_long("spec.controller", controller, 250)
    else:
        _check_prefixed_path(errors, "spec.controller", controller)
    parameters = dig(obj, "spec", "parameters")
    for key in ("kind", "name"):
        if parameters is not None and not parameters.get(key):
            errors.required(f"spec.parameters.{key}")


def ingress_class_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """The controller of a class stays."""
    errors.immutable("spec.controller", dig(new, "spec", "controller"), dig(old, "spec", "controller"))


def _check_prefixed_path(errors: Errors, path: str, text: str) -> None:
    domain, slash, rest = text.partition("/")
    if not slash or not domain or not rest:
        errors.invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    for problem in names.problems("subdomain", domain):
        errors.invalid(path, domain, problem)


def check_runtime_class(errors: Errors, obj: Obj) -> None:
    """A RuntimeClass."""
    handler = str(obj.get("handler") or "")
    for problem in names.problems("label", handler):
        errors.invalid("handler", handler, problem)


def runtime_class_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """The handler of a class stays."""
    errors.immutable("handler", new.get("handler"), old.get("handler"))


def check_certificate_request(errors: Errors, obj: Obj) -> None:
    """A CertificateSigningRequest."""
    spec = obj.get("spec") or {}
    if trouble := _request_trouble(str(spec.get("request") or "")):
        errors.invalid("spec.request", _go_bytes(str(spec.get("request") or "")), trouble)
    usages = spec.get("usages") or ()
    if not usages:
        errors.required("spec.usages", "usages must be set")
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            errors.unsupported(f"spec.usages[{index}]", usage, _USAGES)
        if usage in usages[:index]:
            errors.duplicate(f"spec.usages[{index}]", usage)
    signer = str(spec.get("signerName") or "")
    if not signer:
        errors.required("spec.signerName")
    elif "/" not in signer:
        errors.invalid(
            "spec.signerName",
            signer,
            'must be a fully qualified domain and path of the form "example.com/signer-name"',
        )
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        errors.invalid(
            "spec.expirationSeconds",
            seconds,
            "may not specify a duration less than 600 seconds (10 minutes)",
        )


def _go_bytes(coded: str) -> Go:
    """A base64 text as Go's `%#v` writes bytes."""
    try:
        raw = base64.b64decode(coded, validate=True)[:4096]
    except (binascii.Error, ValueError):
        return Go(go_text(coded))
    return Go("[]byte{" + ", ".join(f"0x{byte:x}" for byte in raw) + "}")


def _request_trouble(coded: str) -> str:
    """What is wrong with a PEM request, as a real server says it; empty where it is right."""
    try:
        pem = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        pem = b""
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in pem:
        return "PEM block type must be CERTIFICATE REQUEST"
    from cryptography import x509

    try:
        good = x509.load_pem_x509_csr(pem[:65536]).is_signature_valid
    except ValueError as problem:
        return f"asn1: structure error: {problem}"
    return "" if good else "x509: invalid signature"
