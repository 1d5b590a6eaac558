# METADATA
# title: Admission of models
# description: |
#   Whether a model may be used: the standard policy of the library (lib/), over the rules of
#   gate.yaml. Further files of this package may add to `deny`, `warn` and `annotations`.
package oms_gate.admission

import data.oms_gate.lib.document
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

allow if {
	standard.allow
	count(deny) == 0
}

deny contains finding if some finding in standard.deny

deny contains {
	"code": "policy.error",
	"msg": "the policy's data do not have publishers, requirements and exceptions as they should be; make them with oms-gate config data",
} if {
	not rules.valid
}

warn contains finding if some finding in standard.warn

annotations[name] := text if some name, text in standard.annotations
