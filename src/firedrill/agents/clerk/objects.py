"""Requirements about namespaces, service accounts, and pods' ties to Secrets and tokens."""

from __future__ import annotations

import json
import re

from firedrill.agents.clerk.rego import HEAD, fetcher, listed, of_pods
from firedrill.agents.clerk.words import Words, spans

_SECRETS = """
broken(spec) if {
  some one in within(spec)
  some entry in one.env
  entry.valueFrom.secretKeyRef
}

broken(spec) if {
  some one in within(spec)
  some entry in one.envFrom
  entry.secretRef
}
"""
_TOKENS = """
violations contains entity(obj) if {
  some [obj, spec] in workloads
  not listed(obj)
  given(spec, obj.metadata.namespace)
}

given(spec, _) if {
  some volume in spec.volumes
  some source in volume.projected.sources
  source.serviceAccountToken
}

given(spec, namespace) if {
  object.get(spec, "automountServiceAccountToken", by_account(spec, namespace)) != false
}

account_of(spec) := object.get(spec, "serviceAccountName", object.get(spec, "serviceAccount", "default"))

by_account(spec, namespace) := false if {
  some account in input.items
  account.kind == "ServiceAccount"
  account.metadata.namespace == namespace
  account.metadata.name == account_of(spec)
  account.automountServiceAccountToken == false
} else := true

broken(spec) if spec == null
"""
_ACCOUNTS = """
violations contains entity(obj) if {
  some obj in input.items
  obj.kind == "ServiceAccount"
  obj.metadata.name == "default"
  not obj.metadata.namespace in exempt
  object.get(obj, "automountServiceAccountToken", true) != false
}
"""
_SPACES = """
spaces contains obj if {
  some obj in input.items
  obj.kind == "Namespace"
  not obj.metadata.name in exempt
}
"""


def artefacts(words: Words) -> dict[str, str]:
    """Both files; nothing where the words are about something else."""
    lower = words.lower
    if "secretkeyref" in lower or re.search(r"secrets?\b.{0,60}environment", lower):
        return of_pods(words, (), _SECRETS)
    if "token" in lower and "automountserviceaccounttoken" in lower and "pods get" in lower:
        return _tokens(words)
    if re.search(r"service ?accounts? `default`|default service ?accounts?", words.text, re.I):
        return _default_accounts(words)
    if re.search(r"network ?polic", lower) and "namespace" in lower:
        return _isolated(words)
    if re.search(r"(?:every|each|all) namespaces?", lower) and "label" in lower:
        return _labels(words)
    counted = re.search(r"(?:every|each) namespace .*?(resource ?quota|limit ?range)", lower)
    if counted:
        return _owning(words, "ResourceQuota" if "quota" in counted[1] else "LimitRange")
    if re.search(r"namespace `default`", words.text) and re.search(r"\b(?:no|nothing|empty|only)\b", lower):
        return _unused(words)
    return {}


def _head(words: Words) -> str:
    return f"{HEAD}\nexempt := {listed(words.exempt)}\n"


def _tokens(words: Words) -> dict[str, str]:
    kind = re.search(r"except (?:those )?of the (\w+) `([^`]+)` in the namespace `([^`]+)`", words.text)
    excused = "\nlisted(obj) if obj == null\n"
    if kind:
        full = json.dumps("/".join((kind[3], kind[1], kind[2])))
        excused = f"\nlisted(obj) if entity(obj) == {full}\n"
    files = of_pods(words, (), _TOKENS + excused)
    keep = "kind, metadata, spec, automountServiceAccountToken"
    makers = files["fetcher.sh"].split(" get ")[1].split(" ")[0].split(",")
    return {**files, "fetcher.sh": fetcher([*makers, "serviceaccounts"], keep)}


def _default_accounts(words: Words) -> dict[str, str]:
    """The accounts called default: no token by themselves, and where the words say so nobody uses them."""
    lower = words.lower
    body = ""
    if "automountserviceaccounttoken" in lower or "token" in lower:
        body += _ACCOUNTS
    resources = ["serviceaccounts"]
    extra = ""
    if re.search(r"\bbind|\bbound|\brights\b|permission|\brole", lower):
        resources += ["rolebindings", "clusterrolebindings"]
        extra += """
violations contains entity(binding) if {
  some binding in input.items
  binding.kind in {"RoleBinding", "ClusterRoleBinding"}
  some subject in binding.subjects
  subject.kind == "ServiceAccount"
  subject.name == "default"
  not object.get(subject, "namespace", object.get(binding.metadata, "namespace", "")) in exempt
}
"""
    keep = "kind, metadata, spec, subjects, roleRef, automountServiceAccountToken"
    if re.search(r"pods? (?:runs?|uses?)|no pod|used by|runs? under", lower):
        files = of_pods(
            words, (), '\nbroken(spec) if object.get(spec, "serviceAccountName", "default") == "default"\n'
        )
        resources = [*files["fetcher.sh"].split(" get ")[1].split(" ")[0].split(","), *resources]
        text = f"{files['policy.rego']}\nexempt := {listed(words.exempt)}\n{body}{extra}"
    else:
        text = _head(words) + body + extra
    return {"fetcher.sh": fetcher(resources, keep), "policy.rego": text} if body + extra else {}


def _labels(words: Words) -> dict[str, str]:
    """`Every namespace has the label L with the value A or B`."""
    sentence = next((item for item in words.sentences if "label" in item), "")
    found = re.search(r"label `([^`]+)`(.*)", sentence)
    if found is None:
        return {}
    values = spans(re.split(r",? (?:in these|which|;)", found[2])[0])
    test = f"obj.metadata.labels[{json.dumps(found[1])}]"
    held = f"held(obj) if {test} in {listed(values)}" if values else f'held(obj) if {test} != ""'
    rule = "violations contains entity(obj) if {\n  some obj in spaces\n  not held(obj)\n}\n"
    body = f"{_SPACES}\n{rule}\n{held}\n"
    return {"fetcher.sh": fetcher(["namespaces"]), "policy.rego": _head(words) + body}


def _owning(words: Words, kind: str) -> dict[str, str]:
    body = f"""{_SPACES}
violations contains entity(obj) if {{
  some obj in spaces
  not held(obj.metadata.name)
}}

held(name) if {{
  some one in input.items
  one.kind == "{kind}"
  one.metadata.namespace == name
}}
"""
    return {
        "fetcher.sh": fetcher(["namespaces", f"{kind.lower()}s"]),
        "policy.rego": _head(words) + body,
    }


def _isolated(words: Words) -> dict[str, str]:
    """Every namespace has a NetworkPolicy; of all pods, and of a direction, where the words say so."""
    lower = words.lower
    tests = ""
    if re.search(r"all (?:of its |its |the )?pods|every pod|podselector|selects all|empty selector", lower):
        tests += (
            '  selector := object.get(one.spec, "podSelector", {})\n'
            '  count(object.get(selector, "matchLabels", {})) == 0\n'
            '  count(object.get(selector, "matchExpressions", [])) == 0\n'
        )
    directions = [item for item in ("Ingress", "Egress") if item.lower() in lower]
    if re.search(r"incoming|comes in|traffic to", lower) and "Ingress" not in directions:
        directions.append("Ingress")
    tests += "".join(f'  "{item}" in types(one)\n' for item in directions)
    if re.search(r"den(?:y|ies) (?:all|everything)|lets? nothing|allows? nothing|by default", lower):
        tests += "".join(f'  count(object.get(one.spec, "{item.lower()}", [])) == 0\n' for item in directions)
    each = bool(re.search(r"namespaces? (?:that|which|with|where|in which)[^.]{0,30}pods", lower))
    populated = (
        '  some pod in input.items\n  pod.kind == "Pod"\n  pod.metadata.namespace == obj.metadata.name\n'
    )
    body = f"""{_SPACES}
violations contains entity(obj) if {{
  some obj in spaces
{populated if each else ""}  not held(obj.metadata.name)
}}

held(name) if {{
  some one in input.items
  one.kind == "NetworkPolicy"
  one.metadata.namespace == name
{tests}}}

types(one) := {{item | some item in one.spec.policyTypes}} if one.spec.policyTypes

types(one) := {{"Ingress"}} if {{
  not one.spec.policyTypes
  not one.spec.egress
}}

types(one) := {{"Ingress", "Egress"}} if {{
  not one.spec.policyTypes
  one.spec.egress
}}
"""
    resources = ["namespaces", "networkpolicies", *(["pods"] if each else [])]
    return {"fetcher.sh": fetcher(resources), "policy.rego": _head(words) + body}


_OF_CLUSTER = """
violations contains entity(obj) if {
  some obj in input.items
  obj.metadata.namespace == "default"
  not usual(obj)
}

usual(obj) if {
  obj.kind in {"Service", "Endpoints", "EndpointSlice"}
  obj.metadata.name == "kubernetes"
}

usual(obj) if obj.metadata.labels["kubernetes.io/service-name"] == "kubernetes"

usual(obj) if {
  obj.kind == "ServiceAccount"
  obj.metadata.name == "default"
}

usual(obj) if {
  obj.kind == "ConfigMap"
  obj.metadata.name == "kube-root-ca.crt"
}

usual(obj) if {
  some owner in obj.metadata.ownerReferences
  owner.controller == true
}
"""
_KINDS = (
    "pods services configmaps secrets persistentvolumeclaims replicationcontrollers serviceaccounts"
    " deployments statefulsets daemonsets replicasets jobs cronjobs ingresses networkpolicies"
    " roles rolebindings"
)


def _unused(words: Words) -> dict[str, str]:
    """Nothing of the users' own is in the namespace default: what the words list, or all."""
    lower = words.lower.replace(" ", "")
    named = [item for item in _KINDS.split() if item in lower or item.rstrip("s") + "s" in lower]
    return {"fetcher.sh": fetcher(named or _KINDS.split()), "policy.rego": _head(words) + _OF_CLUSTER}


__all__ = ["artefacts"]
