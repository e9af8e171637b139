"""Requirements about roles, bindings and what they grant."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from firedrill.agents.clerk.rego import HEAD, fetcher, listed
from firedrill.agents.clerk.words import Words, spans

_ROLES = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
_VERBS = frozenset(
    [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "bind",
        "escalate",
        "impersonate",
        "approve",
        "sign",
        "use",
    ]
)
_RBAC, _AUTH = "rbac.authorization.k8s.io", "authentication.k8s.io"
_CORE = (
    "pods secrets configmaps services endpoints nodes namespaces events serviceaccounts persistentvolumes"
    " persistentvolumeclaims replicationcontrollers resourcequotas limitranges users groups bindings"
    " pods/exec pods/attach pods/portforward pods/proxy pods/log pods/ephemeralcontainers nodes/proxy"
    " nodes/log nodes/stats nodes/metrics nodes/status services/proxy serviceaccounts/token"
)
_GROUPS: dict[str, tuple[str, ...]] = {
    "": tuple(_CORE.split()),
    "apps": ("deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions"),
    "batch": ("jobs", "cronjobs"),
    _RBAC: ("roles", "clusterroles", "rolebindings", "clusterrolebindings"),
    _AUTH: ("uids", "userextras", "tokenreviews"),
    "networking.k8s.io": ("networkpolicies", "ingresses", "ingressclasses"),
    "certificates.k8s.io": (
        "certificatesigningrequests",
        "certificatesigningrequests/approval",
        "certificatesigningrequests/status",
        "signers",
    ),
    "admissionregistration.k8s.io": (
        "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    ),
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "storage.k8s.io": ("storageclasses", "volumeattachments", "csidrivers", "csinodes"),
    "policy": ("poddisruptionbudgets",),
    "coordination.k8s.io": ("leases",),
    "scheduling.k8s.io": ("priorityclasses",),
    "autoscaling": ("horizontalpodautoscalers",),
}
_HOME = {name: group for group, names in _GROUPS.items() for name in names}
_PHRASES = {
    "certificate signing requests": "certificatesigningrequests",
    "approve certificates": "certificatesigningrequests",
    "persistent volumes": "persistentvolumes",
    "replication controllers": "replicationcontrollers",
    "service accounts": "serviceaccounts",
    "config maps": "configmaps",
    "network policies": "networkpolicies",
    "validating webhook configurations": "validatingwebhookconfigurations",
    "mutating webhook configurations": "mutatingwebhookconfigurations",
    "webhook configurations": "validatingwebhookconfigurations mutatingwebhookconfigurations",
    "tokens of service accounts": "serviceaccounts/token",
    "tokens for service accounts": "serviceaccounts/token",
}


@dataclass(frozen=True)
class Right:
    """Verbs on resources, as `group` and `resource` pairs."""

    verbs: tuple[str, ...]
    resources: tuple[tuple[str, str], ...]


def artefacts(words: Words) -> dict[str, str]:
    """Both files; nothing where the words are about something else."""
    lower = words.lower
    keep = "kind, metadata, roleRef, subjects, rules"
    bound = re.search(r"[Cc]luster(?: )?[Rr]ole `([^`]+)` is bound", words.text)
    if bound:
        body = _bound(words, bound[1])
    elif re.search(r"\b(?:no|every|each) role|no role or clusterrole", lower) and (
        "star" in lower or "*" in lower
    ):
        body = _stars(words)
    else:
        rights = _rights(words)
        if not rights or not re.search(r"\bbinding|\bbound\b|subject|nobody|permission", lower):
            return {}
        body = _grants(words, rights)
    return {"fetcher.sh": fetcher(_ROLES, keep), "policy.rego": HEAD + body}


def _sentence(words: Words, pattern: str) -> str:
    return next((item for item in words.sentences if re.search(pattern, item)), "")


def _subjects(text: str) -> str:
    """Rules `allowed(subject)` from the words that list who may."""
    found: list[tuple[str, ...]] = []
    text = re.sub(r"no (?:other )?group.*", "", text)
    for group in re.findall(r"groups? ((?:`[^`]+`(?:,? and |,? or |, )?)+)", text):
        found += [('subject.kind == "Group"', f"subject.name in {listed(spans(group))}")]
    for prefix in re.findall(r"users? whose names? begins? (?:with )?(?:so, )?`([^`]+)`", text):
        found += [('subject.kind == "User"', f"startswith(subject.name, {json.dumps(prefix)})")]
    for users in re.findall(r"users? ((?:`[^`]+`(?:,? and |,? or |, )?)+)", text):
        found += [('subject.kind == "User"', f"subject.name in {listed(spans(users))}")]
    account = 'subject.kind == "ServiceAccount"'
    for names in re.findall(
        r"(?:all |any )?service accounts? (?:of|in) the namespaces? ((?:`[^`]+`(?:,? and |,? or |, )?)+)",
        text,
    ):
        found += [(account, f"subject.namespace in {listed(spans(names))}")]
    for name, namespace in re.findall(
        r"service accounts? `([^`]+)` (?:of|in) (?:the )?(?:namespace )?`([^`]+)`", text, re.IGNORECASE
    ):
        tests = (f"subject.name == {json.dumps(name)}", f"subject.namespace == {json.dumps(namespace)}")
        found += [(account, *tests)]
    rules = [
        f"allowed(subject) if {{\n  {chr(10).join(item)}\n}}\n".replace("\nsub", "\n  sub") for item in found
    ]
    return "\n".join(rules or ["allowed(subject) if subject == null\n"])


def _who(words: Words) -> str:
    listed_ = _sentence(
        words,
        r"[Aa]llowed (?:for it |to do so |for this |this )?(?:are|is)\b|^May do so|[Nn]obody (?:else )?but",
    )
    return listed_ or words.text


def _bound(words: Words, role: str) -> str:
    both = (
        re.search(r"RoleBindings? .{0,40}(?:count|too|as well)", words.text) and "not asked" not in words.text
    )
    kinds = ("ClusterRoleBinding", "RoleBinding") if both else ("ClusterRoleBinding",)
    return f"""
violations contains entity(binding) if {{
  some binding in input.items
  binding.kind in {listed(kinds)}
  binding.roleRef.kind == "ClusterRole"
  binding.roleRef.name == {json.dumps(role)}
  some subject in binding.subjects
  not allowed(subject)
}}

{_subjects(_sentence(words, r"is bound"))}"""


def _stars(words: Words) -> str:
    text, lower = words.text, words.lower
    fields = [name for name in ("verbs", "resources", "apiGroups") if name.lower() in lower.replace(" ", "")]
    inner = re.search(r"no entry of its (\w+) holds a star", lower)
    rules = ""
    for name in fields or ["verbs", "resources", "apiGroups"]:
        test = 'contains(entry, "*")' if inner and inner[1] == name.lower() else 'entry == "*"'
        rules += f"\nstarred(rule) if {{\n  some entry in rule.{name}\n  {test}\n}}\n"
    exempt = _sentence(words, r"exempt|[Bb]uilt[ -]in is")
    known = _sentence(words, r"[Bb]uilt in is what|is called") or exempt
    label = re.search(r"label `([^`:]+): ?([^`]+)`", text)
    names = [item for item in spans(known) if ":" not in item]
    prefixes = [item for item in spans(known) if item.endswith(":")]
    named = f"\nnamed(obj) if obj.metadata.name in {listed(names)}\n" if names else ""
    named += "".join(
        [f"\nnamed(obj) if startswith(obj.metadata.name, {json.dumps(item)})\n" for item in prefixes]
    )
    labelled = (
        f"\nlabelled(obj) if obj.metadata.labels[{json.dumps(label[1])}] == {json.dumps(label[2])}\n"
        if label
        else ""
    )
    tests = [item for item, there in (("  named(obj)\n", named), ("  labelled(obj)\n", labelled)) if there]
    spared = f"\nspared(obj) if {{\n{''.join(tests)}}}\n" if tests else "\nspared(obj) if obj == null\n"
    return f"""
violations contains entity(obj) if {{
  some obj in input.items
  obj.kind in {{"Role", "ClusterRole"}}
  not spared(obj)
  some rule in obj.rules
  starred(rule)
}}
{rules}{named}{labelled}{spared}"""


def _rights(words: Words) -> tuple[Right, ...]:
    """Verbs and resources of the sentences that forbid, in the order of the words."""
    found: list[Right] = []
    for sentence in words.sentences:
        if not re.search(r"\bNobody|\bNo (?:one|subject|user|role)|\b[Oo]nly\b|may (?:not|only)", sentence):
            continue
        found += _of(sentence)
    return tuple(found)


def _of(sentence: str) -> list[Right]:
    text = sentence.lower()
    for phrase, name in _PHRASES.items():
        text = text.replace(phrase, name)
    found: list[Right] = []
    verbs: list[str] = []
    last = ""
    resources: list[tuple[str, str]] = []
    for word in re.findall(r"[a-z][a-z0-9./-]*[a-z0-9]", text):
        name = word.rstrip(".")
        if name in _VERBS:
            if verbs and last == "resource":
                found.append(Right(tuple(verbs), tuple(resources)))
                verbs, resources = [], []
            verbs.append(name)
            last = "verb"
        else:
            plural = name if name in _HOME else f"{name}s" if f"{name}s" in _HOME else None
            if (plural is not None and name != "groups") or (name == "groups" and "impersonate" in verbs):
                resources.append((_HOME[plural or name], plural or name))
                last = "resource"
    if resources and not verbs and re.search(r"\bread", text):
        verbs = ["get", "list", "watch"]
    if resources and verbs:
        found.append(Right(tuple(verbs), tuple(dict.fromkeys(resources))))
    return found


def _grants(words: Words, rights: tuple[Right, ...]) -> str:
    wanted: list[dict[str, Any]] = [
        {"verbs": list(item.verbs), "resources": [list(pair) for pair in item.resources]} for item in rights
    ]
    public = re.search(r"`resourceNames` (?:are|is) (?:only )?the one \w+ `([^`]+)`", words.text)
    spared = (
        f'  {{name | some name in object.get(rule, "resourceNames", [])}} != {{{json.dumps(public[1])}}}\n'
        if public
        else ""
    )
    kinds = (
        ["ClusterRoleBinding"]
        if "rolebindings are not asked" in words.lower
        else ["RoleBinding", "ClusterRoleBinding"]
    )
    return f"""
wanted := {json.dumps(wanted)}

violations contains entity(binding) if {{
  some binding in input.items
  binding.kind in {listed(kinds)}
  some subject in binding.subjects
  not allowed(subject)
  some role in input.items
  role.kind == binding.roleRef.kind
  role.metadata.name == binding.roleRef.name
  reachable(role, binding)
  some rule in role.rules
  grants(rule)
}}

reachable(role, _) if role.kind == "ClusterRole"

reachable(role, binding) if {{
  role.kind == "Role"
  role.metadata.namespace == binding.metadata.namespace
}}

grants(rule) if {{
  some right in wanted
  some verb in rule.verbs
  verb in {{"*"}} | {{one | some one in right.verbs}}
  some pair in right.resources
  some group in rule.apiGroups
  group in {{"*", pair[0]}}
  some resource in rule.resources
  covers(resource, pair[1])
{spared}}}

covers(resource, wanted_) if resource in {{"*", wanted_}}

covers(resource, wanted_) if {{
  parts := split(wanted_, "/")
  count(parts) == 2
  resource == concat("/", ["*", parts[1]])
}}

{_subjects(_who(words))}"""


__all__ = ["artefacts"]
