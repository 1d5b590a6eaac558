# METADATA
# title: Attestations
# description: Signed statements beside the model, verified with the gate's trust and bound to it.
package oms_gate.lib.attestations

# METADATA
# description: What of the attestations that a requirement wants is not met.
unmet(requirement) := {{"code": "attestation.missing", "msg": msg} |
	some wanted in requirement.attestations
	msg := $`there is no {wanted.predicate_type}`
}
