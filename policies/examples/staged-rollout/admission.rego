# METADATA
# title: Admission of models, in a roll-out by stages
# description: |
#   The standard policy; but in namespaces that are named at data.rollout.announced, what it denies
#   is a warning. This takes the place of the admission.rego that comes with the gate: further files
#   can only add to what denies.
#
#   It fails closed: a namespace that nobody has named, one that is named at data.rollout.enforced as
#   well, data that are missing, and all that is no admission into a cluster are enforced.
package oms_gate.admission

import data.oms_gate.lib.document
import data.oms_gate.lib.globs
import data.oms_gate.lib.rules
import data.oms_gate.lib.standard

default decision := {
	"allow": false,
	"deny": [{
		"code": "policy.error",
		"msg": "the input document is not of the schema oms-gate/input/v1; use the policy that came with this gate",
	}],
	"warn": [],
	"annotations": {},
}

decision := object.union(
	{"allow": allow, "deny": deny, "warn": warn, "annotations": annotations},
	standard.requirement,
) if {
	document.valid
}

default allow := false

allow if standard.allow

allow if announced

deny contains finding if {
	some finding in standard.deny
	not announced
}

deny contains {
	"code": "policy.error",
	"msg": "the policy's data do not have publishers, requirements and exceptions as they should be; make them with oms-gate config data",
} if {
	not rules.valid
}

warn contains finding if some finding in standard.warn

warn contains object.union(finding, {"msg": msg}) if {
	announced
	some finding in standard.deny
	msg := $`{finding.msg} (a warning until the roll-out reaches the namespace {input.context.namespace})`
}

annotations[name] := text if some name, text in standard.annotations

annotations["rollout"] := "announced" if {
	announced
	count(standard.deny) > 0
}

default announced := false

announced if {
	document.valid
	rules.valid
	input.context.operation == "admit"
	is_named(data.rollout.announced)
	not is_named(data.rollout.enforced)
}

is_named(namespaces) if {
	is_string(input.context.namespace)
	some glob in namespaces
	globs.matches(glob, input.context.namespace)
}
