package oms_gate.examples.github_actions_test

import data.oms_gate.examples.model_test

claims := {
	"source_repository_uri": "https://github.com/acme/train",
	"source_repository_owner_identifier": "1234567",
	"source_repository_ref": "refs/heads/main",
	"runner_environment": "github-hosted",
	"build_trigger": "push",
}

workflow(ref, changes) := model_test.sigstore(
	"public-good",
	"https://token.actions.githubusercontent.com",
	concat("", ["https://github.com/acme/train/.github/workflows/release.yml@", ref]),
	object.union(claims, changes),
)

logged := {"signature": {"log_index": 7, "times": [1]}}

test_a_release if {
	model_test.denials("hf://acme/model", workflow("refs/heads/main", {}), logged) == set()
	tag := "refs/tags/v1.2.3"
	model_test.denials("hf://acme/model", workflow(tag, {"source_repository_ref": tag}), logged) == set()
}

test_another_ref if {
	model_test.denials("hf://acme/model", workflow("refs/pull/1/merge", {}), logged) == {"publisher.wrong-signer"}
	model_test.denials("hf://acme/model", workflow("refs/heads/main-2", {}), logged) == {"publisher.wrong-signer"}
}

test_each_claim_counts if {
	every claim, other in {
		"source_repository_uri": "https://github.com/acme/train-fork",
		"source_repository_owner_identifier": "12345678",
		"source_repository_ref": "refs/pull/1/merge",
		"runner_environment": "self-hosted",
		"build_trigger": "pull_request_target",
	} {
		model_test.denials("hf://acme/model", workflow("refs/heads/main", {claim: other}), logged) == {"requirement.claims"}
	}
}

test_without_claims_the_identity_is_not_enough if {
	bare := model_test.sigstore(
		"public-good",
		"https://token.actions.githubusercontent.com",
		workflow("refs/heads/main", {}).identity,
		{},
	)
	model_test.denials("hf://acme/model", bare, logged) == {"requirement.claims"}
}

test_the_log_is_wanted if {
	model_test.denials("hf://acme/model", workflow("refs/heads/main", {}), {}) == {"requirement.log"}
}
