# METADATA
# title: Claims
# description: |
#   What the certificate of a Sigstore identity says of the workload that signed: its repository,
#   ref, workflow, runner and the like (Fulcio's extensions, by their name).
package oms_gate.lib.claims

import data.oms_gate.lib.globs

# METADATA
# title: What of a requirement on claims is not met
# description: "`claims`: for each claim the globs, one of which it has to match."
unmet(requirement) := {{"code": "requirement.claims", "msg": msg} |
	some claim, allowed in requirement.claims
	not holds(claim, allowed)
	found := object.get(input.signer.claims, claim, "not in the certificate")
	wanted := concat(" or ", allowed)
	msg := $`the signer's {claim} is {found}, but the requirement "{requirement.name}" wants {wanted}; publish from there, or correct the requirement`
}

holds(claim, allowed) if {
	some wildcard in allowed
	globs.matches(wildcard, input.signer.claims[claim])
}
