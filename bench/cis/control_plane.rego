package cis

control := data.control

named(obj) := concat("/", [obj.kind, object.get(obj, ["metadata", "name"], "")])

# -- flags of the programs of a control plane --------------------------------------------------------------

programs contains {"pod": pod, "words": words} if {
	some pod in input
	pod.kind == "Pod"
	some container in pod.spec.containers
	words := array.concat(object.get(container, "command", []), object.get(container, "args", []))
	some word in words
	endswith(word, control.program)
}

values(words, flag) := {value |
	some word in words
	startswith(word, concat("", ["--", flag, "="]))
	value := substring(word, count(flag) + 3, -1)
}

items(words, flag) := {item | some value in values(words, flag); some item in split(value, ",")}

violations contains named(program.pod) if {
	control.check == "equals"
	some program in programs
	values(program.words, control.flag) != {control.value}
}

violations contains named(program.pod) if {
	control.check == "set"
	some program in programs
	some flag in control.flags
	count(values(program.words, flag)) == 0
}

violations contains named(program.pod) if {
	control.check == "least"
	some program in programs
	not enough(values(program.words, control.flag))
}

enough(found) if {
	count(found) > 0
	every value in found {
		to_number(value) >= control.value
	}
}

violations contains named(program.pod) if {
	control.check == "holds"
	some program in programs
	not control.value in items(program.words, control.flag)
}

violations contains named(program.pod) if {
	control.check == "lacks"
	some program in programs
	control.value in items(program.words, control.flag)
}

# suites without forward secrecy or with a broken cipher are weak
violations contains named(program.pod) if {
	control.check == "ciphers"
	some program in programs
	found := items(program.words, control.flag)
	strong := {suite |
		some suite in found
		regex.match(`^TLS_(AES_(128|256)_GCM|CHACHA20_POLY1305)_SHA|^TLS_ECDHE_(ECDSA|RSA)_WITH_(AES_(128|256)_(GCM|CBC)|CHACHA20_POLY1305)`, suite)
	}
	not all_strong(found, strong)
}

all_strong(found, strong) if {
	count(found) > 0
	found == strong
}

# -- files of hosts ----------------------------------------------------------------------------------------

files contains {"obj": obj, "file": file} if {
	some obj in input
	some path in [control.path, object.get(control, "also", [])]
	count(path) > 0
	found := object.get(obj.data, path, null)
	some file in as_list(found)
	endswith(file.path, object.get(control, "suffix", ""))
}

as_list(value) := value if is_array(value)

as_list(value) := [value] if is_object(value)

violations contains named(found.obj) if {
	control.check == "owner"
	some found in files
	owner := found.file.ownership
	[owner.username, owner.groupname] != ["root", "root"]
}

violations contains named(found.obj) if {
	control.check == "mode"
	some found in files
	bits.and(found.file.permissions, bits.negate(384)) != 0
}

# -- what the kubelet is told: flags go before its file ------------------------------------------------------

kubelets contains {"obj": obj, "words": regex.split(`\s+`, obj.data.cmdLine)} if {
	some obj in input
	obj.kind == "KubeletInfo"
}

settings(obj) := yaml.unmarshal(base64.decode(obj.data.configFile.content))

flagged(words, flag) := {value |
	some index, word in words
	regex.match(concat("", ["^--", flag, "(=|$)"]), word)
	value := told(words, index, word)
}

told(words, index, word) := substring(word, indexof(word, "=") + 1, -1) if contains(word, "=")

told(words, index, word) := words[index + 1] if not contains(word, "=")

unreadable(kubelet) if {
	some word in kubelet.words
	startswith(word, "--config=")
	not settings(kubelet.obj)
	count(flagged(kubelet.words, control.flag)) == 0
}

effective(kubelet) := value if {
	some value in flagged(kubelet.words, control.flag)
}

effective(kubelet) := sprintf("%v", [value]) if {
	count(flagged(kubelet.words, control.flag)) == 0
	value := settings(kubelet.obj)[control.setting]
}

violations contains named(kubelet.obj) if {
	control.check in {"kubelet-not", "kubelet-is"}
	some kubelet in kubelets
	unreadable(kubelet)
}

violations contains named(kubelet.obj) if {
	control.check == "kubelet-not"
	some kubelet in kubelets
	effective(kubelet) == control.value
}

violations contains named(kubelet.obj) if {
	control.check == "kubelet-is"
	some kubelet in kubelets
	effective(kubelet) != control.value
}

violations contains named(kubelet.obj) if {
	control.check == "kubelet-unset"
	some kubelet in kubelets
	effective(kubelet)
}

violations contains named(kubelet.obj) if {
	control.check == "kubelet-set"
	some kubelet in kubelets
	count(flagged(kubelet.words, control.flag)) == 0
	not contains(base64.decode(kubelet.obj.data.configFile.content), concat("", [control.setting, ":"]))
}

# -- what the API server is given to read ------------------------------------------------------------------

vaults := {"akeyless", "azurekmsprovider", "aws-encryption-provider"}

violations contains named(obj) if {
	control.check == "external-secrets"
	some obj in input
	text := base64.decode(obj.data.APIServerInfo.encryptionProviderConfigFile.content)
	found := {lower(provider.kms.name) |
		some resource in yaml.unmarshal(text).resources
		"secrets" in resource.resources
		some provider in resource.providers
	}
	count(found & vaults) == 0
}

violations contains named(obj) if {
	control.check == "audit-policy"
	some obj in input
	not obj.data.APIServerInfo.auditPolicyFile
}

wanted_audits := {
	"secrets": {"Metadata"},
	"configmaps": {"Metadata"},
	"tokenreviews": {"Metadata"},
	"pods": {"Metadata", "Request", "RequestResponse"},
	"deployments": {"Metadata", "Request", "RequestResponse"},
	"pods/exec": {"Metadata", "Request", "RequestResponse"},
	"pods/portforward": {"Metadata", "Request", "RequestResponse"},
	"pods/proxy": {"Metadata", "Request", "RequestResponse"},
	"services/proxy": {"Metadata", "Request", "RequestResponse"},
}

violations contains named(obj) if {
	control.check == "audit-policy"
	some obj in input
	policy := yaml.unmarshal(base64.decode(obj.data.APIServerInfo.auditPolicyFile.content))
	some resource, levels in wanted_audits
	not audited(policy, resource, levels)
}

# every rule about a resource and its group has to have one of the levels
audited(policy, resource, levels) if {
	found := {rule.level |
		some rule in policy.rules
		rule.level != "None"
		some entry in rule.resources
		resource in entry.resources
	}
	count(found) > 0
	count(found - levels) == 0
}
