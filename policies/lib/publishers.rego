# METADATA
# title: Publishers
# description: |
#   Whose signature counts for which models, by the rules at data.oms_gate.publishers. A model is
#   trusted if a rule that covers it names its signer.
package oms_gate.lib.publishers

import data.oms_gate.lib.globs
import data.oms_gate.lib.signers

# METADATA
# title: Rules about the model
# description: The rules for this model. That for a folder is one for everything below it.
covering contains rule if {
	some rule in data.oms_gate.publishers
	some wildcard in rule.models
	globs.covers(wildcard, input.model.name)
}

# METADATA
# title: Rules that trust the signer
# description: |
#   Those that name the signer, and those that take whoever signs the model first, as long as it is
#   that one.
# scope: document
trusting contains rule if {
	some rule in covering
	some signer in rule.signers
	signers.in_time(signer, input.signer)
	signers.names(signer, input.signer)
}

trusting contains rule if {
	input.signer.expired_at == null
	count(input.history.pinned) == 0
	some rule in first_use
}

trusting contains rule if {
	input.signer.expired_at == null
	input.history.signer_pinned == true
	some rule in first_use
}

# METADATA
# title: Rules that trusted the signer
# description: Those that name the signer, but want a certificate that is still valid.
# scope: document
outlived contains rule if {
	some rule in covering
	some signer in rule.signers
	not signers.in_time(signer, input.signer)
	signers.names(signer, input.signer)
}

outlived contains rule if {
	is_string(input.signer.expired_at)
	input.history.signer_pinned == true
	some rule in first_use
}

# METADATA
# title: Rules that name the signer
# description: |
#   Those whose permissions count: the ones that trust the signer. Where only the certificate's time
#   stands against that, which denies the model or is excepted, the ones that did.
# scope: document
heeded := trusting if {
	count(trusting) > 0
} else := outlived

first_use contains rule if {
	not is_claimed
	some rule in covering
	some signer in rule.signers
	signer.method == "first-use"
}

# Where a rule names the signers, coming first makes nobody one of them, whatever a rule for more
# models says.
is_claimed if {
	some rule in covering
	every signer in rule.signers {
		signer.method != "first-use"
	}
}

# The signers of a rule that count.
counting(rule) := {signer | some signer in rule.signers} if {
	rule in first_use
} else := {signer | some signer in rule.signers; signer.method != "first-use"}

# METADATA
# title: The signer is not the publisher
# description: Why no rule trusts the signer, by the case.
# scope: document
deny contains {"code": "publisher.unknown", "msg": msg} if {
	count(covering) == 0
	msg := $`no publisher rule covers {input.model.name}, which was signed by {found}; if that is its publisher, add a rule to "publishers" in gate.yaml (for an OPA server, to data.oms_gate.publishers){local_copy}`
}

deny contains {"code": "publisher.wrong-signer", "msg": msg} if {
	count(covering) > 0
	count(trusting) == 0
	count(outlived) == 0
	not somebody_is_pinned
	rules := concat(", ", sort({rule.name | some rule in covering; count(counting(rule)) > 0}))
	wanted := concat(" or ", sort({signers.description(signer) | some rule in covering; some signer in counting(rule)}))
	msg := $`{input.model.name} was signed by {found}, but its publisher rule ({rules}) names only {wanted}{by_subject}{without_memory}; take the model from its publisher, or name this signer in gate.yaml`
}

deny contains {"code": "publisher.expired-signer", "msg": msg} if {
	count(trusting) == 0
	count(outlived) > 0
	rules := concat(", ", sort({rule.name | some rule in outlived}))
	msg := $`{input.model.name} was signed by {found} while the certificate was valid, but that expired at {input.signer.expired_at}; have the model signed again, or let allow_expired of the signer in the publisher rule ({rules}) accept it`
}

deny contains {"code": "history.signer-changed", "msg": msg} if {
	count(trusting) == 0
	count(outlived) == 0
	somebody_is_pinned
	rules := concat(", ", sort({rule.name | some rule in first_use}))
	before := concat(" or ", sort({signers.found(signer) | some signer in input.history.pinned}))
	msg := $`{input.model.name} was signed by {found}, but it is pinned to {before} (publisher rule {rules}); ask its publisher, and if the change is theirs, approve it with oms-gate trust add and the reference that you used`
}

default local_copy := ""

# How the Hub's client lays out its cache: a download by another name than the model's own.
local_copy := " (a rule for hf://... does not cover its local copy; add its path to the rule's models)" if {
	regex.match(`\Afile://.*/(?:models|datasets|spaces)--[^/]+/snapshots/[0-9a-f]{40}(?:/.*)?\z`, input.model.name)
}

default by_subject := ""

by_subject := ` (a certificate without an alternative name goes by its subject, for which an identity or a pattern has to hold a "=")` if {
	input.signer.method == "certificate"
	signers.goes_by_subject(input.signer)
	some rule in covering
	some signer in rule.signers
	signer.method == "certificate"
	not signers.speaks_of_subjects(signers.wanted(signer))
}

default without_memory := ""

without_memory := " (which takes a memory: set history in gate.yaml)" if {
	count(first_use) > 0
	is_null(input.history)
}

somebody_is_pinned if {
	count(first_use) > 0
	count(input.history.pinned) > 0
}

found := signers.found(input.signer)
