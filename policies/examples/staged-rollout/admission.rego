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

# METADATA
# title: Decision
# description: What the gate asks for, as an object; `require` is there where the rules say it.
# entrypoint: true
decision := object.union(
	{"allow": allow, "deny": deny, "warn": warn, "annotations": annotations},
	standard.requirement,
)

default allow := false

# METADATA
# title: The model is allowed
# description: The standard policy allows it, or does not enforce here yet.
# scope: document
allow if standard.allow

allow if announced

# METADATA
# title: What denies the model
# description: As the standard policy has it, where it is enforced.
deny contains finding if {
	not announced
	some finding in standard.deny
}

# METADATA
# title: What does not deny the model
# description: As the standard policy has it, and what it denies where it is not enforced yet.
# scope: document
warn contains finding if some finding in standard.warn

warn contains object.union(finding, {"msg": msg}) if {
	announced
	some finding in standard.deny
	msg := $`{finding.msg} (a warning until the roll-out reaches the namespace {input.context.namespace})`
}

# METADATA
# title: What is said of the model
# description: Texts by their names; `rollout` where the model is allowed only because of it.
# scope: document
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
	are_names("announced")
	are_names("enforced")
	is_named("announced")
	not is_named("enforced")
}

# A list that is missing, misspelt or of another type would enforce nowhere.
are_names(list) if {
	is_array(data.rollout[list])
	every wildcard in data.rollout[list] {
		is_string(wildcard)
	}
}

is_named(list) if {
	# Data of the pack's own: rollout/data.json.
	some wildcard in data.rollout[list]
	globs.matches(wildcard, input.context.namespace)
}
