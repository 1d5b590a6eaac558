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

# METADATA
# title: The model is allowed
# scope: document
allow if {
	is_whole
	is_publisher
	input.coverage.signed > 0
	count(deny) == 0
}

# Nothing else is asked before: what is not whole could be anything.
is_whole if {
	document.valid
	rules.valid
}

is_publisher if count(publishers.trusting) > 0

# An exception may let a certificate pass that has expired since, of a signer who is named.
is_publisher if {
	count(publishers.outlived) > 0
	some finding in exceptions.excepted(publishers.deny)
	finding.code == "publisher.expired-signer"
}

# METADATA
# title: What stands against the model
# description: All findings that deny it.
# scope: document
deny contains {"code": "policy.error", "msg": msg} if {
	not document.valid
	members := concat(", ", sort(document.faults))
	msg := $`the input is no whole document of the schema oms-gate/input/v1 (missing, unknown or not as they should be: {members}); use the policy that came with this gate, and send what input.schema.json says`
}

deny contains {"code": "policy.error", "msg": msg} if {
	not rules.valid
	places := concat("; ", sort(rules.faults))
	msg := $`the policy's data.oms_gate cannot be used because of {places}; correct it, or write it with oms-gate config data`
}

deny contains finding if {
	is_whole
	some finding in exceptions.denying(found)
}

deny contains finding if {
	is_whole
	some finding in coverage.nothing_signed
}

# METADATA
# title: What does not deny the model
# description: All findings that only warn, and what is excepted.
# scope: document
warn contains finding if {
	is_whole
	some finding in (coverage.warn | requirements.warn)
}

warn contains finding if {
	is_whole
	some finding in exceptions.excepted(found)
}

found := union({
	publishers.deny,
	coverage.deny - coverage.nothing_signed,
	requirements.deny,
	history.deny,
})

# METADATA
# title: What is said of the model
# description: The rules that trust the signer, the format where it is an old one, and the order.
# scope: document
annotations["publisher"] := concat(", ", sort({rule.name | some rule in publishers.heeded})) if {
	is_whole
	is_publisher
}

annotations["format"] := input.signature.format if {
	is_whole
	input.signature.format != "v1.0"
}

annotations["unsorted"] := "true" if {
	is_whole
	input.signature.sorted == false
}

default requirement := {}

# METADATA
# title: How far the gate has to look
# description: |
#   As far as the strictest of the requirements, and of the rules that name the signer, says; those
#   too that want a certificate that is still valid.
# scope: document
requirement := {"require": "bytes"} if {
	is_whole
	"bytes" in assurances
} else := {"require": "declared"} if {
	is_whole
	"declared" in assurances
}

assurances := requirements.assurances | {rule.assurance | some rule in (publishers.trusting | publishers.outlived)}
