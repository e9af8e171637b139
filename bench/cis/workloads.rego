package cis

# -- pods and what makes them ------------------------------------------------------------------------------

makers := {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "ReplicationController"}

pod_spec(obj) := obj.spec if obj.kind == "Pod"

pod_spec(obj) := obj.spec.jobTemplate.spec.template.spec if obj.kind == "CronJob"

pod_spec(obj) := obj.spec.template.spec if obj.kind in makers

containers(spec) := [container |
	some list in ["containers", "initContainers", "ephemeralContainers"]
	some container in spec[list]
]

own(container, field) := object.get(container, ["securityContext", field], null)

shared(spec, field) := object.get(spec, ["securityContext", field], null)

space(obj) := object.get(obj.metadata, "namespace", "default")

violations contains named(obj) if {
	control.check == "pod-is-not"
	some obj in input
	pod_spec(obj)[control.field] == true
}

violations contains named(obj) if {
	control.check == "drops"
	some obj in input
	some container in containers(pod_spec(obj))
	not drops(container)
}

drops(container) if {
	some word in container.securityContext.capabilities.drop
	upper(word) in {"ALL", control.value}
}

violations contains named(obj) if {
	control.check == "non-root"
	some obj in input
	spec := pod_spec(obj)
	some container in containers(spec)
	not plain_user(container, spec)
}

plain_user(container, spec) if {
	user := first([own(container, "runAsUser"), shared(spec, "runAsUser")])
	user > 0
}

plain_user(container, spec) if {
	first([own(container, "runAsUser"), shared(spec, "runAsUser"), -1]) == -1
	first([own(container, "runAsNonRoot"), shared(spec, "runAsNonRoot")]) == true
	first([own(container, "runAsGroup"), shared(spec, "runAsGroup"), 1]) > 0
}

first(list) := [value | some value in list; value != null][0]

violations contains named(obj) if {
	control.check == "pod-number"
	some obj in input
	not right_number(pod_spec(obj))
}

right_number(spec) if shared(spec, control.field) > 0

violations contains named(obj) if {
	control.check == "groups"
	some obj in input
	not right_groups(pod_spec(obj))
}

right_groups(spec) if {
	found := shared(spec, "supplementalGroups")
	count(found) > 0
	every group in found {
		group > 0
	}
}

violations contains named(obj) if {
	control.check == "windows-user"
	some obj in input
	spec := pod_spec(obj)
	"windows" in {object.get(spec, ["os", "name"], ""), object.get(spec, ["nodeSelector", "kubernetes.io/os"], "")}
	some container in containers(spec)
	not windows_user(container, spec)
}

windows_user(container, spec) if container.securityContext.windowsOptions.runAsUserName

windows_user(container, spec) if spec.securityContext.windowsOptions.runAsUserName

violations contains named(obj) if {
	control.check == "seccomp"
	some obj in input
	spec := pod_spec(obj)
	some container in containers(spec)
	profile := first([own(container, "seccompProfile"), shared(spec, "seccompProfile"), {}])
	object.get(profile, "type", "") != "RuntimeDefault"
}

violations contains named(obj) if {
	control.check == "tokens"
	some obj in input
	spec := pod_spec(obj)
	first([object.get(spec, "automountServiceAccountToken", null), account_word(obj, spec), true]) == true
}

account_word(obj, spec) := object.get(account, "automountServiceAccountToken", null) if {
	some account in input
	account.kind == "ServiceAccount"
	account.metadata.name == object.get(spec, "serviceAccountName", "default")
	space(account) == space(obj)
} else := null

violations contains named(obj) if {
	control.check == "default-namespace"
	some obj in input
	space(obj) == "default"
}

# -- namespaces --------------------------------------------------------------------------------------------

violations contains named(obj) if {
	control.check == "level"
	some obj in input
	obj.kind == "Namespace"
	not held(obj)
	not webhook
}

held(obj) if object.get(obj.metadata, ["labels", "pod-security.kubernetes.io/enforce"], "") in control.levels

# somebody else may look at every pod that is created
webhook if {
	some obj in input
	obj.kind in {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
	some hook in obj.webhooks
	some rule in hook.rules
	"pods" in rule.resources
	object.get(rule, "scope", "*") in {"Namespaced", "*"}
	control.levels == ["nobody"]
}

violations contains named(obj) if {
	control.check == "networking"
	some obj in input
	obj.kind == "Namespace"
	not policed(obj.metadata.name)
}

policed(name) if {
	some policy in input
	policy.kind in {"NetworkPolicy", "CiliumNetworkPolicy"}
	space(policy) == name
}

policed(name) if {
	some policy in input
	policy.kind == "CiliumClusterwideNetworkPolicy"
	some spec in array.concat(object.get(policy, "specs", []), [object.get(policy, "spec", {"endpointSelector": {"matchLabels": {"no": "spec"}}})])
	selector := spec.endpointSelector
	count(object.get(selector, "matchLabels", {})) == 0
	count(object.get(selector, "matchExpressions", [])) == 0
}

# -- roles and bindings: what is named is the subject --------------------------------------------------------

granted contains {"subject": subject, "rule": rule} if {
	some binding in input
	some subject in binding.subjects
	some role in input
	role.kind == binding.roleRef.kind
	role.metadata.name == binding.roleRef.name
	same_place(role, binding)
	some rule in role.rules
}

same_place(role, binding) if role.kind == "ClusterRole"

same_place(role, binding) if space(role) == space(binding)

has(list, wanted) if {
	some item in list
	item in array.concat(["*"], wanted)
}

violations contains concat("/", [found.subject.kind, found.subject.name]) if {
	control.check == "rbac"
	some found in granted
	has(found.rule.apiGroups, control.groups)
	has(found.rule.resources, control.resources)
	has(found.rule.verbs, control.verbs)
}

violations contains concat("/", [found.subject.kind, found.subject.name]) if {
	control.check == "rbac-all"
	some found in granted
	has(found.rule.apiGroups, [""])
	"*" in found.rule.resources
	"*" in found.rule.verbs
}
