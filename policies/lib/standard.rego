# METADATA
# title: The standard policy
# description: |
#   All of the library together: a model is allowed if a publisher rule names its signer, the
#   signature covers what a loader reads, every requirement that applies is met, and nothing that is
#   remembered speaks against it; but for exceptions.
#
#   Everything here is positive: what is missing, misspelt or unknown leaves `allow` false. No
#   builtin needs a host.
package oms_gate.lib.standard

import data.oms_gate.lib.coverage
import data.oms_gate.lib.document
import data.oms_gate.lib.exceptions
import data.oms_gate.lib.history
import data.oms_gate.lib.publishers
import data.oms_gate.lib.requirements
import data.oms_gate.lib.rules

default allow := false

allow if {
	document.valid
	rules.valid
	count(publishers.trusting) > 0
	input.coverage.signed > 0
	count(deny) == 0
}

deny := exceptions.denying(found)

warn := (coverage.warn | requirements.warn) | exceptions.excepted(found)

found := (publishers.deny | coverage.deny) | (requirements.deny | history.deny)

annotations["publisher"] := concat(", ", {rule.name | some rule in publishers.trusting}) if {
	count(publishers.trusting) > 0
}

annotations["format"] := input.signature.format if input.signature.format != "v1.0"

annotations["unsorted"] := "true" if input.signature.sorted == false

# METADATA
# description: |
#   How far the gate has to look: as far as the strictest of the requirements, and of the rules that
#   name the signer, says; those too that want a certificate that is still valid.
requirement := {"require": "bytes"} if {
	"bytes" in assurances
} else := {"require": "declared"} if {
	"declared" in assurances
} else := {}

assurances := requirements.assurances | {rule.assurance | some rule in (publishers.trusting | publishers.outlived)}
