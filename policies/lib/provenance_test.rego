package oms_gate.lib.provenance_test

import data.oms_gate.lib.provenance

built := {
	"predicate_type": "https://slsa.dev/provenance/v1",
	"predicate": {
		"buildDefinition": {
			"buildType": "https://ci.example/build/v1",
			"resolvedDependencies": [
				{"uri": "git+https://git.example/acme/model@refs/heads/main"},
				{"uri": "pkg:pypi/torch@2.9.0"},
			],
		},
		"runDetails": {
			"builder": {"id": "https://ci.example/runner@v1"},
			"metadata": {"finishedOn": "2026-09-01T12:00:00Z"},
		},
	},
	"predicate_times": {"/runDetails/metadata/finishedOn": 1788264000},
}

by_workflow := json.patch(built, [{"op": "add", "path": "/predicate/buildDefinition", "value": {
	"buildType": "https://actions.github.io/buildtypes/workflow/v1",
	"externalParameters": {"workflow": {
		"repository": "https://github.com/mallory/model",
		"ref": "refs/heads/main",
		"path": ".github/workflows/build.yml",
	}},
	"resolvedDependencies": [{"uri": "git+https://github.com/acme/model@refs/heads/main"}],
}}])

without(attestation, path) := json.patch(attestation, [{"op": "remove", "path": path}])

replaced(attestation, path, value) := json.patch(attestation, [{"op": "replace", "path": path, "value": value}])

test_a_builder_is_named if {
	provenance.built_by(built, ["https://ci.example/runner@*"])
	provenance.built_by(built, ["https://other.example/**", "https://ci.example/runner@v1"])
	not provenance.built_by(built, ["https://ci.example/runner"])
	not provenance.built_by(built, ["https://ci.example/*@v2"])
	not provenance.built_by(built, [])
}

test_a_builder_that_is_missing_or_mistyped_is_none if {
	every path in ["/predicate/runDetails/builder/id", "/predicate/runDetails/builder", "/predicate/runDetails", "/predicate"] {
		not provenance.built_by(without(built, path), ["**"])
	}
	every value in [null, 1, true, [], {}, ["https://ci.example/runner@v1"]] {
		not provenance.built_by(replaced(built, "/predicate/runDetails/builder/id", value), ["**"])
	}
}

test_another_type_says_nothing_of_builds if {
	every type in ["https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v10", "https://spdx.dev/Document"] {
		other := replaced(built, "/predicate_type", type)
		not provenance.built_by(other, ["**"])
		not provenance.built_from(other, ["**"])
		not provenance.says_when(other)
		not provenance.finished_at(other)
	}
}

test_a_source_is_one_of_what_was_resolved if {
	provenance.built_from(built, ["git+https://git.example/acme/model@refs/heads/*"])
	provenance.built_from(built, ["git+https://git.example/acme/other", "pkg:pypi/**"])
	not provenance.built_from(built, ["git+https://git.example/acme/model"])
	not provenance.built_from(built, ["git+https://git.example/acme/model@refs/tags/*"])
}

test_a_source_that_is_missing_or_mistyped_is_none if {
	path := "/predicate/buildDefinition/resolvedDependencies"
	not provenance.built_from(without(built, path), ["**"])
	not provenance.built_from(without(built, "/predicate/buildDefinition"), ["**"])
	every value in [null, 1, "git+https://git.example", [], {}, ["git+https://git.example"], [{"uri": 1}], [{"name": "x"}]] {
		not provenance.built_from(replaced(built, path, value), ["**"])
	}
}

test_a_workflow_comes_from_its_own_repository_and_not_from_what_it_checks_out if {
	provenance.built_from(by_workflow, ["https://github.com/mallory/model"])
	provenance.built_from(by_workflow, ["git+https://github.com/mallory/model@refs/heads/*"])
	not provenance.built_from(by_workflow, ["git+https://github.com/acme/**"])
	not provenance.built_from(by_workflow, ["https://github.com/acme/**"])
}

test_a_workflow_without_repository_or_ref_comes_from_nowhere if {
	parameters := "/predicate/buildDefinition/externalParameters/workflow"
	every path in [parameters, $`{parameters}/repository`, $`{parameters}/ref`] {
		not provenance.built_from(without(by_workflow, path), ["**"])
	}
	every value in [null, 1, ["x"], {}] {
		not provenance.built_from(replaced(by_workflow, $`{parameters}/ref`, value), ["**"])
		not provenance.built_from(replaced(by_workflow, $`{parameters}/repository`, value), ["**"])
	}
}

test_only_a_workflow_of_github_is_asked_for_its_repository if {
	other := replaced(by_workflow, "/predicate/buildDefinition/buildType", "https://ci.example/build/v1")
	provenance.sources(other) == {"git+https://github.com/acme/model@refs/heads/main"}
	not provenance.built_from(replaced(by_workflow, "/predicate_type", "https://spdx.dev/Document"), ["**"])
}

test_a_build_type_that_is_no_text_is_no_workflow if {
	not provenance.is_workflow(replaced(by_workflow, "/predicate/buildDefinition/buildType", 1))
	not provenance.is_workflow(without(by_workflow, "/predicate/buildDefinition/buildType"))
}

test_the_end_of_a_build_is_told if {
	provenance.says_when(built)
	provenance.finished_at(built) == 1788264000
	unreadable := without(replaced(built, "/predicate/runDetails/metadata/finishedOn", "yesterday"), "/predicate_times/~1runDetails~1metadata~1finishedOn")
	provenance.says_when(unreadable)
	not provenance.finished_at(unreadable)
	not provenance.says_when(without(built, "/predicate/runDetails/metadata/finishedOn"))
}
