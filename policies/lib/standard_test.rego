package oms_gate.lib.standard_test

import data.oms_gate.lib.samples_test as samples
import data.oms_gate.lib.standard

by_certificate := object.union(samples.rule, {"signers": [{
	"method": "certificate",
	"root": "ca",
	"identity": "CN=a",
}]})

outlived := samples.changed(
	object.union(object.remove(samples.model, ["signer"]), {"signer": samples.certificate("CN=a", "CN=a")}),
	{"/signer/expired_at": "2026-01-02T03:04:05Z"},
)

exception(code) := {
	"owner": "ann",
	"reason": "moving",
	"expires": "2099-01-01",
	"expires_at": samples.now + 1,
	"models": ["hf://example/*"],
	"codes": [code],
}

decided(document, members) := result if {
	rules := object.union({"publishers": samples.publishers, "requirements": [], "exceptions": []}, members)
	result := {
		"allow": standard.allow,
		"deny": standard.deny,
		"warn": standard.warn,
		"annotations": standard.annotations,
		"requirement": standard.requirement,
	} with input as document
		with data.oms_gate.publishers as rules.publishers
		with data.oms_gate.requirements as rules.requirements
		with data.oms_gate.exceptions as rules.exceptions
}

test_a_model_that_is_in_order_is_allowed if {
	decided(samples.model, {}) == {
		"allow": true,
		"deny": set(),
		"warn": set(),
		"annotations": {"publisher": "Example"},
		"requirement": {},
	}
}

test_a_document_that_is_not_whole_is_denied_by_itself if {
	every document in [object.remove(samples.model, ["now"]), samples.changed(samples.model, {"/now": "x"})] {
		result := decided(document, {"requirements": [{"name": "x", "assurance": "bytes"}]})
		not result.allow
		samples.codes(result.deny) == {"policy.error"}
		samples.says(result.deny, "not as they should be: now)")
		result.warn == set()
		result.annotations == {}
		result.requirement == {}
	}
}

test_rules_that_are_not_whole_deny_by_themselves if {
	every rules in [{"requirements": [{"nmae": "x"}]}, {"exceptions": null}, {"publishers": [object.union(samples.rule, {"more": 1})]}] {
		result := decided(samples.changed(samples.model, {"/signature/format": "v0.2", "/signature/sorted": false}), rules)
		not result.allow
		samples.codes(result.deny) == {"policy.error"}
		samples.says(result.deny, "data.oms_gate cannot be used because of")
		result.warn == set()
		result.annotations == {}
		result.requirement == {}
	}
	samples.says(decided(samples.model, {"requirements": [{"nmae": "x"}]}).deny, "requirements[0], of which this")
}

test_each_part_denies if {
	every path, change in {
		"publisher.wrong-signer": {"/signer/identity": "mallory@example.com"},
		"coverage.missing": {"/coverage/missing": ["x"]},
		"coverage.unsigned": {"/coverage/unsigned/0/kind": "code"},
		"requirement.log": {"/signature/log_index": null},
		"history.rollback": {"/history/newer": {"revision": null, "root_digest": "0", "signed_at": null, "seen_at": 1}},
	} {
		result := decided(samples.changed(samples.model, change), {"requirements": [{"name": "x", "transparency_log": true}]})
		not result.allow
		samples.codes(result.deny) == {path}
	}
}

test_warnings_do_not_deny if {
	hidden := {"path": "x", "size": 1, "kind": "other", "scope": "signer"}
	document := samples.changed(samples.model, {"/coverage/ignored": [hidden], "/signature/log_index": null})
	requirement := {"name": "x", "effect": "warn", "transparency_log": true}
	result := decided(document, {"requirements": [requirement]})
	result.allow
	samples.codes(result.warn) == {"coverage.ignored", "requirement.log"}
}

test_what_is_excepted_is_a_warning if {
	document := samples.changed(samples.model, {"/coverage/missing": ["x"]})
	result := decided(document, {"exceptions": [exception("coverage.missing")]})
	result.allow
	result.deny == set()
	samples.codes(result.warn) == {"coverage.missing"}
	samples.says(result.warn, "excepted by ann")
}

test_nothing_signed_is_never_excepted if {
	document := samples.changed(samples.model, {"/coverage/signed": 0, "/coverage/signed_files": {}})
	result := decided(document, {"exceptions": [exception("coverage.missing")]})
	not result.allow
	samples.codes(result.deny) == {"coverage.missing"}
	result.warn == set()
}

test_an_expired_signer_can_be_excepted if {
	rules := {"publishers": [by_certificate]}
	not decided(outlived, rules).allow
	samples.codes(decided(outlived, rules).deny) == {"publisher.expired-signer"}
	decided(outlived, rules).annotations == {}
	result := decided(outlived, object.union(rules, {"exceptions": [exception("publisher.expired-signer")]}))
	result.allow
	samples.codes(result.warn) == {"publisher.expired-signer"}
	result.annotations == {"publisher": "Example"}
	not decided(outlived, object.union(rules, {"exceptions": [exception("coverage.missing")]})).allow
}

test_a_wrong_signer_is_never_excepted if {
	document := samples.changed(outlived, {"/signer/identity": "CN=b", "/signer/subject": "CN=b"})
	result := decided(document, {"publishers": [by_certificate], "exceptions": [exception("publisher.expired-signer")]})
	not result.allow
	samples.codes(result.deny) == {"publisher.wrong-signer"}
}

test_what_an_exception_of_a_requirement_lets_pass_is_no_signer if {
	# Both are told by the same code, but nobody here is named by a rule.
	document := samples.changed(outlived, {"/model/name": "hf://other/model"})
	rules := {
		"publishers": [by_certificate],
		"requirements": [{"name": "x", "unexpired": true}],
		"exceptions": [object.union(exception("publisher.expired-signer"), {"models": ["hf://**"]})],
	}
	not decided(document, rules).allow
}

test_old_formats_and_order_are_noted if {
	document := samples.changed(samples.model, {"/signature/format": "v0.2", "/signature/sorted": false})
	decided(document, {}).annotations == {"publisher": "Example", "format": "v0.2", "unsorted": "true"}
}

test_every_rule_that_trusts_is_noted if {
	rules := [samples.rule, object.union(samples.rule, {"name": "All", "models": ["hf://**"]})]
	decided(samples.model, {"publishers": rules}).annotations.publisher == "All, Example"
}

test_the_strictest_assurance_counts if {
	every pair, wanted in {
		["signature", "declared"]: {"require": "declared"},
		["declared", "bytes"]: {"require": "bytes"},
		["bytes", "declared"]: {"require": "bytes"},
		["signature", "signature"]: {},
	} {
		rules := [object.union(samples.rule, {"assurance": assurance}) | some assurance in pair]
		decided(samples.model, {"publishers": rules}).requirement == wanted
	}
	lenient := object.union(by_certificate.signers[0], {"allow_expired": true})
	rules := [
		object.union(by_certificate, {"assurance": "bytes"}),
		object.union(by_certificate, {"assurance": "declared", "signers": [lenient]}),
	]
	decided(outlived, {"publishers": rules}).requirement == {"require": "bytes"}
	decided(outlived, {"publishers": rules}).allow
	decided(samples.model, {"requirements": [{"name": "x", "assurance": "declared"}]}).requirement == {"require": "declared"}
}
