package oms_gate.examples.team_key_test

import data.oms_gate.examples.model_test

now_signs := model_test.key("team-2026")

signed_before := model_test.key("team-2025")

test_the_key if {
	model_test.denials("hf://acme-labs/new", now_signs, {}) == set()
	model_test.denials("s3://acme-labs-models/a/b", now_signs, {}) == set()
}

test_the_key_before_signs_nothing_new if {
	model_test.denials("hf://acme-labs/summarizer-v1", signed_before, {}) == set()
	model_test.denials("hf://acme-labs/summarizer-v10", signed_before, {}) == {"publisher.wrong-signer"}
	model_test.denials("hf://acme-labs/new", signed_before, {}) == {"publisher.wrong-signer"}
}

test_what_was_signed_again if {
	model_test.denials("hf://acme-labs/summarizer-v1", now_signs, {}) == set()
}

test_safe_formats if {
	pickle := {"coverage": {"signed": 3, "signed_files": {"pickle": ["a.pkl"]}}}
	model_test.denials("hf://acme-labs/new", now_signs, pickle) == {"requirement.format"}
}

test_whole_signatures if {
	left_out := {"coverage": {"ignored": [{"path": "x.xyz", "size": 1, "kind": "other", "scope": "signer"}]}}
	model_test.denials("hf://acme-labs/new", now_signs, left_out) == {"coverage.unsigned", "coverage.ignored"}
}
