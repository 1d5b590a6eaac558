package oms_gate.admission_test

import data.oms_gate.admission
import data.oms_gate.lib.samples_test as samples

decided(document) := decision if {
	decision := admission.decision with input as document
		with data.oms_gate.publishers as [object.union(samples.rule, {"assurance": "declared"})]
		with data.oms_gate.requirements as []
		with data.oms_gate.exceptions as []
}

test_a_decision_on_a_model_that_is_in_order if {
	decided(samples.model) == {
		"allow": true,
		"deny": set(),
		"warn": set(),
		"annotations": {"publisher": "Example"},
		"require": "declared",
	}
}

test_a_decision_on_a_model_that_is_not if {
	hidden := {"path": "x", "size": 1, "kind": "other", "scope": "signer"}
	document := samples.changed(samples.model, {"/coverage/missing": ["y"], "/coverage/ignored": [hidden]})
	decision := decided(document)
	not decision.allow
	samples.codes(decision.deny) == {"coverage.missing"}
	samples.codes(decision.warn) == {"coverage.ignored"}
}

test_no_input_and_no_data_are_denied if {
	decision := admission.decision
	decision.allow == false
	samples.codes(decision.deny) == {"policy.error"}
	count(decision.deny) == 2
	not decided(object.remove(samples.model, ["coverage"])).allow
}

test_an_addition_to_the_policy_denies if {
	added := {{"code": "mine", "msg": "no"}}
	decision := admission.decision with input as samples.model
		with data.oms_gate.publishers as samples.publishers
		with data.oms_gate.requirements as []
		with data.oms_gate.exceptions as []
		with admission.deny as added
	decision.allow == false
	decision.deny == added
}

test_an_addition_cannot_allow if {
	decision := admission.decision with input as samples.model
		with data.oms_gate.publishers as []
		with data.oms_gate.requirements as []
		with data.oms_gate.exceptions as []
		with admission.deny as set()
	decision.allow == false
}
