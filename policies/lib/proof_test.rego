package oms_gate.lib.proof_test

import data.oms_gate.lib.proof
import data.oms_gate.lib.samples_test as samples

unmet(requirement, members) := found if {
	named := object.union({"name": "Proof"}, requirement)
	found := proof.unmet(named) with input as samples.changed(samples.model, members)
}

at(offsets) := {"/signature/times": [moment | some offset in offsets; moment := samples.now + offset]}

test_a_requirement_without_proof_wants_none if {
	unmet({}, {"/signature/times": [], "/signature/log_index": null, "/signer/expired_at": "2026-01-02T03:04:05Z"}) == set()
	every member in ["proven_time", "transparency_log", "unexpired"] {
		unmet({member: false}, {"/signature/times": [], "/signature/log_index": null, "/signer/expired_at": "2026"}) == set()
	}
}

test_hash_types if {
	unmet({"hash_types": ["blake2b", "sha256"]}, {}) == set()
	found := unmet({"hash_types": ["blake2b", "blake3"]}, {})
	samples.codes(found) == {"requirement.hash-type"}
	samples.says(found, `over sha256 digests, but the requirement "Proof" wants blake2b or blake3; have the model signed again with --hash blake2b`)
}

test_a_proven_time if {
	unmet({"proven_time": true}, at([-1])) == set()
	unmet({"proven_time": true}, at([0])) == set()
	unmet({"proven_time": true}, at([300])) == set()
	found := unmet({"proven_time": true}, at([]))
	samples.codes(found) == {"requirement.time"}
	samples.says(found, "nothing proves when the model was signed")
	samples.says(found, "--timestamp-url")
}

test_a_time_in_the_future_proves_nothing if {
	every code, requirement in {"requirement.time": {"proven_time": true}, "requirement.age": {"max_age_days": 1}} {
		found := unmet(requirement, at([301]))
		samples.codes(found) == {code}
		samples.says(found, "in the future by the gate's clock")
		samples.says(found, "set the clock")
		unmet(requirement, at([301, -1])) == set()
	}
}

test_a_transparency_log if {
	unmet({"transparency_log": true}, {"/signature/log_index": 0}) == set()
	every index in [null, "7", false] {
		samples.codes(unmet({"transparency_log": true}, {"/signature/log_index": index})) == {"requirement.log"}
	}
}

test_the_age_counts_from_the_first_proven_time if {
	unmet({"max_age_days": 2}, at([-172800])) == set()
	unmet({"max_age_days": 0.5}, at([-43200])) == set()
	samples.says(unmet({"max_age_days": 0.5}, at([-43201])), "wants that within 0.5 days")
	every moments in [[-172801], [-1, -172801], [-172801, -1, 0]] {
		samples.codes(unmet({"max_age_days": 2}, at(moments))) == {"requirement.age"}
	}
	samples.says(unmet({"max_age_days": 2}, at([-259200])), "use a newer release")
	samples.says(unmet({"max_age_days": 2}, at([-259200])), `signed 3 days ago or before, but the requirement "Proof" wants that within 2 days`)
	proof.age == 5 with input as samples.changed(samples.model, at([-3, -5, 400]))
	not proof.age with input as samples.changed(samples.model, at([]))
}

test_what_has_no_age_is_not_young if {
	found := unmet({"max_age_days": 1}, at([]))
	samples.codes(found) == {"requirement.age"}
	samples.says(found, "nothing proves when the model was signed")
	samples.says(found, "within 1 days")
	samples.says(found, "--timestamp-url")
	samples.codes(unmet({"max_age_days": 1, "proven_time": true}, at([]))) == {"requirement.age", "requirement.time"}
}

test_an_expired_certificate if {
	unmet({"unexpired": true}, {}) == set()
	found := unmet({"unexpired": true}, {"/signer/expired_at": "2026-01-02T03:04:05Z"})
	samples.codes(found) == {"publisher.expired-signer"}
	samples.says(found, "expired at 2026-01-02T03:04:05Z")
}

test_all_of_a_requirement_counts if {
	everything := {
		"hash_types": ["blake3"],
		"proven_time": true,
		"transparency_log": true,
		"unexpired": true,
	}
	members := object.union(at([]), {"/signature/log_index": null, "/signer/expired_at": "2026"})
	samples.codes(unmet(everything, members)) == {"requirement.hash-type", "requirement.time", "requirement.log", "publisher.expired-signer"}
}
