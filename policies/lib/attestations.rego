# METADATA
# title: Attestations
# description: Signed statements beside the model, verified with the gate's trust and bound to it.
package oms_gate.lib.attestations

# METADATA
# title: What of a requirement on attestations is not met
# description: "`attestations`: the statements that must be there."
unmet(requirement) := {{"code": "attestation.missing", "msg": msg} |
	some wanted in requirement.attestations
	msg := $`there is no {wanted.predicate_type}`
}
