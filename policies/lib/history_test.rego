package oms_gate.lib.history_test

import data.oms_gate.lib.history
import data.oms_gate.lib.samples_test as samples

same := {"name": "Known", "same_signer": true}

remembering(members) := samples.changed(samples.model, {"/history": object.union(samples.model.history, members)})

test_an_older_release_is_denied if {
	newer := {"revision": "9", "root_digest": "34", "signed_at": null, "seen_at": 1}
	found := history.deny with input as remembering({"newer": newer})
	samples.codes(found) == {"history.rollback"}
	samples.says(found, "hf://example/model is an older release")
	samples.says(found, "root digest 34")
	not samples.says(found, "nothing proves")
}

test_what_has_no_proof_may_be_older if {
	newer := {"revision": "9", "root_digest": "34", "signed_at": 1, "seen_at": 1}
	document := remembering({"newer": newer})
	found := history.deny with input as samples.changed(document, {"/signature/times": []})
	samples.codes(found) == {"history.rollback"}
	samples.says(found, "nothing proves when it was signed")
}

test_the_newest_release_is_not_denied if {
	history.deny == set() with input as samples.model
	history.deny == set() with input as samples.changed(samples.model, {"/history": null})
}

test_a_pinned_signer_is_the_same if {
	history.unmet(same) == set() with input as samples.model
}

test_the_first_signer_is_the_same if {
	history.unmet(same) == set() with input as remembering({"pinned": [], "signer_pinned": false})
}

test_another_signer_is_not_the_same if {
	found := history.unmet(same) with input as remembering({"pinned": [samples.key("old")], "signer_pinned": false})
	samples.codes(found) == {"history.signer-changed"}
	samples.says(found, `it is pinned to the key "old"`)
	samples.says(found, "oms-gate trust add")
	not samples.says(found, "memory")
}

test_without_a_memory_no_signer_is_the_same if {
	found := history.unmet(same) with input as samples.changed(samples.model, {"/history": null})
	samples.codes(found) == {"history.signer-changed"}
	samples.says(found, "the gate keeps no memory")
	samples.says(found, "set history in gate.yaml")
}

test_another_requirement_does_not_ask if {
	every requirement in [{"name": "x"}, {"name": "x", "same_signer": false}] {
		history.unmet(requirement) == set() with input as samples.changed(samples.model, {"/history": null})
	}
}
