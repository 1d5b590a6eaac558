package oms_gate.examples.staged_rollout_test

import data.oms_gate.examples.model_test

acme := model_test.key("acme")

stranger := model_test.key("stranger")

admitted_to(namespace) := {"context": {
	"operation": "admit",
	"namespace": namespace,
	"namespace_labels": {},
	"service_account": "default",
}}

test_the_publisher_everywhere if {
	every namespace in ["sandbox", "team-a", "team-payments", "production"] {
		model_test.denials("hf://acme/model", acme, admitted_to(namespace)) == set()
	}
}

test_an_announced_namespace_is_warned if {
	every namespace in ["sandbox", "team-a"] {
		model_test.denials("hf://acme/model", stranger, admitted_to(namespace)) == set()
		model_test.warnings("hf://acme/model", stranger, admitted_to(namespace)) == {"publisher.wrong-signer"}
		model_test.decided("hf://acme/model", stranger, admitted_to(namespace)).annotations.rollout == "announced"
	}
}

test_all_others_enforce if {
	every namespace in ["team-payments", "production", "sandbox-2", ""] {
		model_test.denials("hf://acme/model", stranger, admitted_to(namespace)) == {"publisher.wrong-signer"}
	}
}

test_what_is_no_name_of_a_namespace_enforces if {
	every namespace in [null, ["sandbox"], {"sandbox"}, true] {
		not model_test.decided("hf://acme/model", stranger, admitted_to(namespace)).allow
	}
}

test_what_is_no_admission_enforces if {
	model_test.denials("hf://acme/model", stranger, {}) == {"publisher.wrong-signer"}
	pull := {"context": {"operation": "pull", "namespace": "sandbox"}}
	model_test.denials("hf://acme/model", stranger, pull) == {"publisher.wrong-signer"}
}

test_without_the_list_all_enforce if {
	codes := model_test.denials("hf://acme/model", stranger, admitted_to("sandbox")) with data.rollout as {}
	codes == {"publisher.wrong-signer"}
}

test_without_both_lists_all_enforce if {
	announced := ["team-*"]
	enforced := ["team-payments"]
	every rollout in [
		{"announced": announced},
		{"announced": announced, "enforce": enforced},
		{"announced": announced, "enforced": "team-payments"},
		{"announced": announced, "enforced": {"team-payments": true}},
		{"announced": announced, "enforced": [null, enforced]},
		{"announced": {"team": "team-*"}, "enforced": []},
	] {
		codes := model_test.denials("hf://acme/model", stranger, admitted_to("team-a")) with data.rollout as rollout
		codes == {"publisher.wrong-signer"}
	}
	every rollout in [{"announced": announced, "enforced": []}, {"announced": announced, "enforced": enforced}] {
		codes := model_test.denials("hf://acme/model", stranger, admitted_to("team-a")) with data.rollout as rollout
		codes == set()
	}
}

test_without_whole_data_nothing_is_allowed if {
	decision := model_test.decided("hf://acme/model", acme, admitted_to("sandbox")) with data.oms_gate.requirements as null
	not decision.allow
	{finding.code | some finding in decision.deny} & {"policy.error"} == {"policy.error"}
}

test_a_document_that_is_not_whole_is_refused if {
	decision := model_test.decided("hf://acme/model", acme, {"schema": "oms-gate/input/v2"})
	not decision.allow
	{finding.code | some finding in decision.deny} == {"policy.error"}
}

test_requirements_deny_where_the_label_is if {
	pickle := {"coverage": {"signed": 3, "signed_files": {"pickle": ["a.pkl"]}}}
	plain := object.union(pickle, admitted_to("production"))
	model_test.denials("hf://acme/model", acme, plain) == set()
	model_test.warnings("hf://acme/model", acme, plain) == {"requirement.format"}
	labels := {"namespace_labels": {"acme.example/models": "enforced"}}
	labelled := object.union(plain, {"context": labels})
	model_test.denials("hf://acme/model", acme, labelled) == {"requirement.format"}
}
