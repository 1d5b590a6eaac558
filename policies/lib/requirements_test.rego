package oms_gate.lib.requirements_test

import data.oms_gate.lib.requirements
import data.oms_gate.lib.samples_test as samples

logged := {"name": "Logged", "transparency_log": true}

unlogged := samples.changed(samples.model, {"/signature/log_index": null})

applies(where, context) if {
	document := samples.changed(samples.model, {"/context": context})
	applying := requirements.applying with input as document
		with data.oms_gate.requirements as [object.union(logged, {"where": where})]
	count(applying) == 1
}

denied(requirement, document) := found if {
	found := requirements.deny with input as document
		with data.oms_gate.requirements as [requirement]
		with data.oms_gate.publishers as samples.publishers
}

warned(requirement, document) := found if {
	found := requirements.warn with input as document
		with data.oms_gate.requirements as [requirement]
		with data.oms_gate.publishers as samples.publishers
}

test_a_requirement_applies_everywhere_by_itself if {
	applies({}, {"operation": "verify"})
	samples.codes(denied(logged, unlogged)) == {"requirement.log"}
	denied(logged, samples.model) == set()
}

test_models if {
	applies({"models": ["hf://other/*", "hf://example/*"]}, {"operation": "verify"})
	not applies({"models": ["hf://other/*"]}, {"operation": "verify"})
	not applies({"models": ["hf://example/model/onnx"]}, {"operation": "verify"})
}

test_operations if {
	applies({"operations": ["load", "pull"]}, {"operation": "pull"})
	not applies({"operations": ["load", "pull"]}, {"operation": "verify"})
}

test_namespaces if {
	applies({"namespaces": ["dev", "prod-*"]}, {"operation": "verify", "namespace": "prod-eu"})
	not applies({"namespaces": ["dev", "prod-*"]}, {"operation": "verify", "namespace": "preprod-eu"})
	not applies({"namespaces": ["dev"]}, {"operation": "verify"})
}

test_namespace_labels if {
	wanted := {"namespace_labels": {"stage": "prod", "team": "a"}}
	applies(wanted, {"operation": "verify", "namespace_labels": {"stage": "prod", "team": "a", "x": "y"}})
	not applies(wanted, {"operation": "verify", "namespace_labels": {"stage": "prod", "team": "b"}})
	not applies(wanted, {"operation": "verify", "namespace_labels": {"stage": "prod"}})
	not applies(wanted, {"operation": "admit", "namespace_labels": {}})
	not applies(wanted, {"operation": "verify"})
}

test_service_accounts if {
	applies({"service_accounts": ["x", "train-*"]}, {"operation": "verify", "service_account": "train-1"})
	not applies({"service_accounts": ["x", "train-*"]}, {"operation": "verify", "service_account": "default"})
	not applies({"service_accounts": ["x"]}, {"operation": "verify"})
}

test_a_pod_in_an_unknown_place_may_be_anywhere if {
	every where in [{"namespaces": ["x"]}, {"namespace_labels": {"a": "b"}}, {"service_accounts": ["x"]}] {
		applies(where, {"operation": "admit"})
		every operation in ["verify", "load", "pull", "publish", "proxy"] {
			not applies(where, {"operation": operation})
		}
	}
	known := {"operation": "admit", "namespace": "a", "namespace_labels": {"l": "a"}, "service_account": "a"}
	every where in [{"namespaces": ["x"]}, {"namespace_labels": {"l": "b"}}, {"service_accounts": ["x"]}] {
		not applies(where, known)
	}
}

test_all_of_where_has_to_hold if {
	where := {
		"models": ["hf://example/*"],
		"operations": ["admit"],
		"namespaces": ["prod"],
		"namespace_labels": {"a": "b"},
		"service_accounts": ["s"],
	}
	context := {"operation": "admit", "namespace": "prod", "namespace_labels": {"a": "b"}, "service_account": "s"}
	applies(where, context)
	every other in [
		{"operation": "pull"},
		{"namespace": "dev"},
		{"namespace_labels": {"a": "c"}},
		{"service_account": "t"},
	] {
		not applies(where, object.union(context, other))
	}
	not applies(object.union(where, {"models": ["hf://other/*"]}), context)
}

test_a_requirement_may_only_warn if {
	samples.codes(warned(object.union(logged, {"effect": "warn"}), unlogged)) == {"requirement.log"}
	denied(object.union(logged, {"effect": "warn"}), unlogged) == set()
	every effect in ["deny", "Warn", ""] {
		samples.codes(denied(object.union(logged, {"effect": effect}), unlogged)) == {"requirement.log"}
		warned(object.union(logged, {"effect": effect}), unlogged) == set()
	}
	warned(logged, unlogged) == set()
}

test_every_module_is_asked if {
	requirement := {
		"name": "All",
		"signed_kinds": ["document"],
		"transparency_log": true,
		"restricted_formats": ["code"],
		"claims": {"ref": ["x"]},
		"same_signer": true,
		"attestations": [{"predicate_type": "nobody states this", "signers": [{"method": "key", "key": "k"}]}],
		"boms": ["other"],
	}
	document := samples.changed(unlogged, {
		"/coverage/signed_files/code": ["x.py"],
		"/history": null,
		"/attestations": [],
	})
	samples.codes(denied(requirement, document)) == {
		"coverage.unsigned", "requirement.log", "requirement.format", "requirement.claims",
		"history.signer-changed", "attestation.missing", "bom.missing",
	}
}

test_assurances_are_those_of_the_requirements_that_apply_and_deny if {
	rules := [
		{"name": "a", "assurance": "declared"},
		{"name": "b", "assurance": "bytes", "where": {"models": ["hf://other/*"]}},
		{"name": "c", "assurance": "bytes", "effect": "warn"},
		logged,
	]
	requirements.assurances == {"declared"} with input as samples.model with data.oms_gate.requirements as rules
}
