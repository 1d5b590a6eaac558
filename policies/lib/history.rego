# METADATA
# title: History
# description: What the gate remembers of a model (`history` in gate.yaml).
package oms_gate.lib.history

import data.oms_gate.lib.signers

# METADATA
# title: What is remembered speaks against the model
# description: It is older than a release that was admitted before, and nobody has approved that.
deny contains {"code": "history.rollback", "msg": msg} if {
	newer := input.history.newer
	is_object(newer)
	msg := $`{input.model.name} is an older release than one that was admitted before (root digest {newer.root_digest}){unproven}; ask its publisher, or approve going back to it with oms-gate trust add and the reference that you used`
}

default unproven := ""

# The proof is nothing that the signer signed, so an old release can be without it.
unproven := ", or may be one: nothing proves when it was signed" if count(input.signature.times) == 0

# METADATA
# title: What of a requirement on history is not met
# description: |
#   `same_signer`: whether the signer must be one that is pinned to the model; the first one is. It
#   takes a memory.
unmet(requirement) := {{"code": "history.signer-changed", "msg": msg} |
	requirement.same_signer == true
	not same_signer
	msg := $`{input.model.name} was signed by {signers.found(input.signer)}, but {known}, and the requirement "{requirement.name}" wants the same signer; {remedy}`
}

same_signer if count(input.history.pinned) == 0

same_signer if input.history.signer_pinned == true

default known := "the gate keeps no memory"

known := $`it is pinned to {before}` if {
	before := concat(" or ", sort({signers.found(signer) | some signer in input.history.pinned}))
	before != ""
}

default remedy := "set history in gate.yaml"

remedy := $`ask its publisher, and if the change is theirs, approve it with oms-gate trust add and the reference that you used` if {
	is_object(input.history)
}
