package oms_gate.lib.publishers_test

import data.oms_gate.lib.publishers
import data.oms_gate.lib.samples_test as samples

first_use := object.union(samples.rule, {"name": "First", "signers": [{"method": "first-use"}]})

expired := {"/signer/expired_at": "2026-01-02T03:04:05Z"}

by_certificate := {"method": "certificate", "root": "ca", "identity": "CN=a"}

signed(signer, members) := samples.changed(object.union(object.remove(samples.model, ["signer"]), {"signer": signer}), members)

names(rules) := {rule.name | some rule in rules}

denied(document, rules) := found if {
	found := publishers.deny with input as document with data.oms_gate.publishers as rules
}

trusting(document, rules) := found if {
	found := names(publishers.trusting) with input as document with data.oms_gate.publishers as rules
}

outlived(document, rules) := found if {
	found := names(publishers.outlived) with input as document with data.oms_gate.publishers as rules
}

heeded(document, rules) := found if {
	found := names(publishers.heeded) with input as document with data.oms_gate.publishers as rules
}

test_the_publishers_signer_is_trusted if {
	trusting(samples.model, samples.publishers) == {"Example"}
	denied(samples.model, samples.publishers) == set()
	outlived(samples.model, samples.publishers) == set()
	heeded(samples.model, samples.publishers) == {"Example"}
}

test_a_model_without_a_rule_is_unknown if {
	every name in ["hf://example-evil/model", "hf://Example/model", "s3://example/model", "hf://example"] {
		found := denied(samples.changed(samples.model, {"/model/name": name}), samples.publishers)
		samples.codes(found) == {"publisher.unknown"}
		samples.says(found, concat(" ", ["no publisher rule covers", name]))
		samples.says(found, `signed by "release@example.com" of the issuer`)
		every finding in found {
			endswith(finding.msg, "(for an OPA server, to data.oms_gate.publishers)")
		}
	}
	samples.codes(denied(samples.model, [])) == {"publisher.unknown"}
}

test_a_rule_covers_what_is_below if {
	trusting(samples.changed(samples.model, {"/model/name": "hf://example/model/onnx"}), samples.publishers) == {"Example"}
}

test_another_signer_is_wrong if {
	found := denied(signed(samples.key("other"), {}), samples.publishers)
	samples.codes(found) == {"publisher.wrong-signer"}
	samples.says(found, `was signed by the key "other", but its publisher rule (Example) names only "release@example.com" of the issuer`)
	samples.says(found, `(sigstore, root "public-good"); take the model from its publisher`)
	not samples.says(found, "memory")
	not samples.says(found, "goes by its subject")
	trusting(signed(samples.key("other"), {}), samples.publishers) == set()
	heeded(signed(samples.key("other"), {}), samples.publishers) == set()
}

test_another_rules_signer_is_trusted_for_its_models_alone if {
	rules := [
		object.union(samples.rule, {"name": "Other", "models": ["hf://other/*"], "signers": [{"method": "key", "key": "k"}]}),
		samples.rule,
	]
	samples.codes(denied(signed(samples.key("k"), {}), rules)) == {"publisher.wrong-signer"}
}

test_one_of_several_signers_is_enough if {
	rule := object.union(samples.rule, {"signers": [{"method": "key", "key": "k"}, samples.sigstore]})
	denied(samples.model, [rule]) == set()
	trusting(signed(samples.key("k"), {}), [rule]) == {"Example"}
}

test_the_local_copy_of_a_download_is_explained if {
	commit := concat("", [format_int(number % 10, 10) | some number in numbers.range(1, 40)])
	names_ := {
		concat("", ["file:///cache/hub/models--org--m/snapshots/", commit]): true,
		concat("", ["file:///cache/hub/models--org--m/snapshots/", commit, "/x.gguf"]): true,
		concat("", ["file:///cache/hub/models--org--m/snapshots/", commit, "0"]): false,
		concat("", ["hf://models--org--m/snapshots/", commit]): false,
		"file:///cache/hub/models--org--m/snapshots/main": false,
		"file:///srv/models/m": false,
	}
	every name, explained in names_ {
		found := denied(samples.changed(samples.model, {"/model/name": name}), samples.publishers)
		samples.codes(found) == {"publisher.unknown"}
		is_said(found, "does not cover its local copy") == explained
	}
}

test_a_name_that_a_subject_does_not_meet_is_explained if {
	subject := samples.certificate("CN=release", "CN=release")
	every pattern, explained in {"release": true, "CN=.*s": false} {
		signer := {"method": "certificate", "root": "ca", "identity_pattern": pattern}
		found := denied(signed(subject, {}), [object.union(samples.rule, {"signers": [signer]})])
		samples.codes(found) == {"publisher.wrong-signer"}
		is_said(found, "goes by its subject") == explained
	}

	# It is explained to those whose certificate has no name, by a rule on certificates.
	named := samples.certificate("a", "CN=release")
	pattern := {"method": "certificate", "root": "ca", "identity_pattern": "release"}
	not is_said(denied(signed(named, {}), [object.union(samples.rule, {"signers": [pattern]})]), "goes by its subject") == true
	not is_said(denied(signed(subject, {}), samples.publishers), "goes by its subject") == true
	key := object.union(samples.key("k"), {"subject": "sha256:cd"})
	not is_said(denied(signed(key, {}), [object.union(samples.rule, {"signers": [pattern]})]), "goes by its subject") == true
}

test_an_expired_certificate_is_told_from_a_wrong_one if {
	rules := [object.union(samples.rule, {"signers": [by_certificate]})]
	document := signed(samples.certificate("CN=a", "CN=a"), expired)
	found := denied(document, rules)
	samples.codes(found) == {"publisher.expired-signer"}
	samples.says(found, "expired at 2026-01-02T03:04:05Z")
	samples.says(found, "(Example)")
	trusting(document, rules) == set()
	outlived(document, rules) == {"Example"}
	heeded(document, rules) == {"Example"}
	samples.codes(denied(signed(samples.certificate("CN=b", "CN=b"), expired), rules)) == {"publisher.wrong-signer"}
}

test_of_several_reasons_one_is_told if {
	rules := [object.union(samples.rule, {"signers": [by_certificate]}), first_use]
	document := signed(samples.certificate("CN=a", "CN=a"), object.union(expired, {"/history/signer_pinned": false}))
	samples.codes(denied(document, rules)) == {"publisher.expired-signer"}
}

test_of_two_rules_the_one_that_trusts_counts if {
	lenient := object.union(by_certificate, {"allow_expired": true})
	rules := [
		object.union(samples.rule, {"name": "Strict", "signers": [by_certificate]}),
		object.union(samples.rule, {"name": "Lenient", "signers": [lenient]}),
	]
	document := signed(samples.certificate("CN=a", "CN=a"), expired)
	denied(document, rules) == set()
	trusting(document, rules) == {"Lenient"}
	outlived(document, rules) == {"Strict"}
	heeded(document, rules) == {"Lenient"}
}

test_the_first_signer_is_trusted_where_a_rule_says_so if {
	new := {"/history/pinned": [], "/history/signer_pinned": false}
	trusting(samples.changed(samples.model, new), [first_use]) == {"First"}
	denied(samples.changed(samples.model, new), [first_use]) == set()
	trusting(samples.changed(samples.model, new), samples.publishers) == {"Example"}
	trusting(signed(samples.key("k"), new), samples.publishers) == set()
}

test_a_pinned_signer_is_trusted_from_then_on if {
	outlived(samples.model, [first_use]) == set()
	trusting(samples.model, [first_use]) == {"First"}
	denied(samples.model, [first_use]) == set()
	trusting(signed(samples.key("k"), {"/history/signer_pinned": true}), samples.publishers) == set()
}

test_another_signer_than_the_pinned_one_is_denied if {
	document := signed(samples.key("new"), {"/history/signer_pinned": false})
	found := denied(document, [first_use])
	samples.codes(found) == {"history.signer-changed"}
	samples.says(found, `signed by the key "new", but it is pinned to "release@example.com" of`)
	samples.says(found, "(publisher rule First)")
	samples.says(found, "oms-gate trust add")
	trusting(document, [first_use]) == set()

	# Where nothing is pinned by a rule, that says nothing of a pin.
	samples.codes(denied(document, samples.publishers)) == {"publisher.wrong-signer"}

	# Another rule may name the new signer.
	denied(document, [first_use, object.union(samples.rule, {"signers": [{"method": "key", "key": "new"}]})]) == set()
}

test_without_a_memory_nobody_is_first if {
	found := denied(samples.changed(samples.model, {"/history": null}), [first_use])
	samples.codes(found) == {"publisher.wrong-signer"}
	samples.says(found, "names only whoever signs it first (which takes a memory: set history in gate.yaml)")
	not samples.says(denied(signed(samples.key("k"), {"/history": null}), samples.publishers), "memory")
}

test_nobody_is_first_with_an_expired_certificate if {
	new := object.union(expired, {"/history/pinned": [], "/history/signer_pinned": false})
	trusting(samples.changed(samples.model, new), [first_use]) == set()
	found := denied(samples.changed(samples.model, new), [first_use])
	samples.codes(found) == {"publisher.wrong-signer"}
	not samples.says(found, "memory")
	pinned := samples.changed(samples.model, expired)
	trusting(pinned, [first_use]) == set()
	outlived(pinned, [first_use]) == {"First"}
	samples.codes(denied(pinned, [first_use])) == {"publisher.expired-signer"}
	another := object.union(expired, {"/history/signer_pinned": false})
	samples.codes(denied(samples.changed(samples.model, another), [first_use])) == {"history.signer-changed"}
}

default is_said(_, _) := false

is_said(found, words) if samples.says(found, words)

test_nobody_is_first_where_a_rule_names_the_signers if {
	history := {"/history": {"first_seen": null, "pinned": [], "signer_pinned": false, "newer": null}}
	stranger := signed(samples.key("other"), history)
	rules := [samples.rule, first_use]
	trusting(stranger, rules) == set()
	found := denied(stranger, rules)
	samples.codes(found) == {"publisher.wrong-signer"}
	samples.says(found, `its publisher rule (Example) names only "release@example.com"`)
	not samples.says(found, "first")
	trusting(samples.changed(samples.model, history), rules) == {"Example"}
}

test_a_rule_may_name_signers_and_take_whoever_is_first if {
	history := {"/history": {"first_seen": null, "pinned": [], "signer_pinned": false, "newer": null}}
	both := object.union(first_use, {"signers": array.concat(samples.rule.signers, first_use.signers)})
	trusting(signed(samples.key("other"), history), [both]) == {"First"}
}
