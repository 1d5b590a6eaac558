package oms_gate.lib.rules_test

import data.oms_gate.lib.document
import data.oms_gate.lib.rules
import data.oms_gate.lib.samples_test as samples

# Everything that rules can hold.
full := {
	"publishers": [{
		"name": "Example",
		"models": ["hf://example/*", "file:///srv/models"],
		"signers": [
			{"method": "sigstore", "identity": "a", "issuer": "https://i.example", "root": "r"},
			{"method": "sigstore", "identity_pattern": "a", "issuer": "https://i.example", "root": "r"},
			{"method": "certificate", "identity": "a", "root": "r", "allow_expired": true},
			{"method": "certificate", "identity_pattern": "a", "root": "r", "allow_expired": false},
			{"method": "certificate", "any_identity": true, "root": "r"},
			{"method": "key", "key": "k"},
			{"method": "first-use"},
		],
		"allow_unsigned": ["assets/**"],
		"allow_ignored": ["*.toml"],
		"allow_formats": ["pickle", "archive", "code", "keras", "tensorflow"],
		"assurance": "declared",
	}],
	"requirements": [{
		"name": "Strict",
		"where": {
			"models": ["hf://example/*"],
			"operations": ["load", "pull"],
			"namespaces": ["prod-*"],
			"namespace_labels": {"stage": "prod"},
			"service_accounts": ["default"],
		},
		"effect": "deny",
		"assurance": "bytes",
		"hash_types": ["sha256", "blake2b", "blake3"],
		"proven_time": true,
		"transparency_log": true,
		"max_age_days": 30,
		"unexpired": true,
		"restricted_formats": ["pickle"],
		"signed_kinds": ["document"],
		"ignored_kinds": ["image"],
		"claims": {"ref": ["refs/heads/main"]},
		"same_signer": true,
		"attestations": [{
			"predicate_type": "https://slsa.dev/provenance/v1",
			"signers": [{"method": "key", "key": "k"}],
			"builders": ["https://b.example/*"],
			"sources": ["git+https://s.example/*"],
			"max_age_days": 0.5,
			"no_findings": ["critical", "high", "medium", "low"],
		}],
		"boms": ["sbom"],
	}],
	"exceptions": [{
		"reason": "moving",
		"owner": "ann",
		"expires": "2026-09-01",
		"expires_at": samples.now,
		"models": ["hf://example/*"],
		"codes": [
			"coverage.missing", "coverage.unsigned", "coverage.ignored",
			"publisher.expired-signer", "history.rollback", "requirement.time",
			"requirement.log", "requirement.age", "requirement.hash-type", "requirement.format",
			"requirement.claims", "attestation.missing", "attestation.unmet",
			"bom.missing",
		],
		"paths": ["docs/**"],
	}],
}

accepted(lists) if {
	rules.valid with data.oms_gate.publishers as lists.publishers
		with data.oms_gate.requirements as lists.requirements
		with data.oms_gate.exceptions as lists.exceptions
}

faults(lists) := found if {
	found := rules.faults with data.oms_gate.publishers as lists.publishers
		with data.oms_gate.requirements as lists.requirements
		with data.oms_gate.exceptions as lists.exceptions
}

places[path] := value if {
	walk(full, [steps, value])
	count(steps) > 0
	path := concat("/", [step | some raw in steps; step := sprintf("%v", [raw])])
}

put(path, value) := json.patch(full, [{"op": "add", "path": path, "value": value}])

replaced(path, value) := json.patch(alone(path), [{"op": "replace", "path": path, "value": value}])

# The list in which something is, beside empty ones.
alone(path) := object.union(
	{"publishers": [], "requirements": [], "exceptions": []},
	{list: full[list] | list := split(path, "/")[0]},
)

removed(path) := json.patch(full, [{"op": "remove", "path": path}])

# What a rule has to say.
needed := {
	"publishers/0/name", "publishers/0/models", "publishers/0/signers", "requirements/0/name",
	"requirements/0/attestations/0/predicate_type", "requirements/0/attestations/0/signers",
	"exceptions/0/reason", "exceptions/0/owner", "exceptions/0/expires", "exceptions/0/expires_at",
	"exceptions/0/models", "exceptions/0/codes",
}

is_of_signer(path) if regex.match(`/signers/\d/`, path)

test_whole_rules_are_valid if {
	accepted(full)
	faults(full) == set()
	accepted({"publishers": [], "requirements": [], "exceptions": []})
	faults({"publishers": [], "requirements": [], "exceptions": []}) == set()
}

test_no_list_may_be_missing_or_mistyped if {
	every name in ["publishers", "requirements", "exceptions"] {
		every other in [null, {}, "x", 7, true, {"0": "x"}] {
			not accepted(replaced(name, other))
			faults(replaced(name, other))[concat("", [name, " (which is no list)"])]
		}
	}
	not rules.valid
	rules.faults == {
		"publishers (which is no list)", "requirements (which is no list)",
		"exceptions (which is no list)",
	}
}

test_what_is_needed_may_not_be_missing if {
	every path in needed {
		not accepted(removed(path))
		count(faults(removed(path))) == 1
	}
	every path, _ in places {
		not wrongly_accepted_without(path)
	}
}

wrongly_accepted_without(path) if {
	is_of_signer(path)
	not endswith(path, "allow_expired")
	accepted(removed(path))
}

test_what_is_not_needed_may_be_missing if {
	optional := [path |
		some path, _ in places
		regex.match(`\A\w+/\d/(?:where/|attestations/0/)?[a-z_]+\z`, path)
		not path in needed
	]
	count(optional) > 20
	every path in optional {
		accepted(removed(path))
	}
}

test_no_member_may_be_of_another_type if {
	others := [null, true, 7, "x", ["x"], [7], {"x": "x"}, {"x": ["x"]}]
	every path, value in places {
		every other in others {
			not wrongly_accepted(path, value, other)
		}
	}
}

wrongly_accepted(path, value, other) if {
	type_name(value) != type_name(other)
	accepted(replaced(path, other))
}

test_no_text_may_be_empty_and_no_number_nothing if {
	every path in [path | some path, value in places; is_string(value); not is_label(path)] {
		not accepted(replaced(path, ""))
	}
	every path in ["requirements/0/max_age_days", "requirements/0/attestations/0/max_age_days"] {
		not accepted(replaced(path, 0))
		not accepted(replaced(path, -1))
	}
	accepted(replaced("requirements/0/where/namespace_labels/stage", ""))
}

is_label(path) if contains(path, "namespace_labels")

test_lists_that_must_not_be_empty if {
	lists := [path | some path, value in places; is_array(value); count(split(path, "/")) > 1]
	every path in lists {
		is_accepted(replaced(path, [])) == may_be_empty(path)
	}
	every path in ["requirements/0/claims", "requirements/0/where/namespace_labels"] {
		not accepted(replaced(path, {}))
	}
	not accepted(put(["requirements", "0", "claims", ""], ["x"]))
	not accepted(put(["requirements", "0", "where", "namespace_labels", ""], "x"))
}

default may_be_empty(_) := false

may_be_empty(path) if {
	path in {
		"publishers/0/allow_unsigned", "publishers/0/allow_ignored", "publishers/0/allow_formats",
		"requirements/0/ignored_kinds",
	}
}

test_every_item_counts if {
	every path in [path | some path, value in places; is_array(value)] {
		not accepted(json.patch(full, [{"op": "add", "path": concat("/", [path, "-"]), "value": 7}]))
		not accepted(json.patch(full, [{"op": "add", "path": concat("/", [path, "0"]), "value": {"x": "y"}}]))
	}
	not accepted(put("requirements/0/claims/x", []))
	not accepted(put("requirements/0/where/namespace_labels/x", 7))
}

test_nothing_unknown_is_accepted if {
	objects := [path |
		some path, value in places
		is_object(value)
		not path in {"requirements/0/claims", "requirements/0/where/namespace_labels"}
	]
	count(objects) > 10
	every path in objects {
		every value in ["x", true, [], ["x"]] {
			not accepted(put(concat("/", [path, "modles"]), value))
		}
	}
}

test_words_are_those_of_gate_yaml if {
	every path, words in {
		"publishers/0/assurance": {"signature", "declared", "bytes"},
		"publishers/0/allow_formats/0": {"pickle", "archive", "code", "keras", "tensorflow"},
		"requirements/0/restricted_formats/0": {"pickle", "archive", "code", "keras", "tensorflow"},
		"requirements/0/where/operations/0": document.operations,
		"requirements/0/effect": {"deny", "warn"},
		"requirements/0/assurance": {"declared", "bytes"},
		"requirements/0/hash_types/0": {"sha256", "blake2b", "blake3"},
		"requirements/0/signed_kinds/0": document.kinds,
		"requirements/0/ignored_kinds/0": document.kinds,
		"requirements/0/attestations/0/no_findings/0": {"critical", "high", "medium", "low"},
	} {
		every word in words {
			accepted(replaced(path, word))
		}
		every word in {"Deny", "new", "SHA256", "signature", "code "} - words {
			not accepted(replaced(path, word))
		}
	}
}

test_an_object_is_no_list_and_a_list_no_object if {
	not accepted(replaced("requirements/0/where", []))
	every path, word in {
		"publishers/0/allow_formats": "code",
		"requirements/0/ignored_kinds": "image",
		"requirements/0/signed_kinds": "image",
	} {
		not accepted(replaced(path, {"x": word}))
	}
}

test_who_may_sign_is_no_matter_of_exceptions if {
	every code in ["publisher.unknown", "publisher.wrong-signer", "history.signer-changed", "policy.error", "signature.invalid"] {
		not accepted(replaced("exceptions/0/codes/0", code))
	}
}

test_flags_are_true if {
	every member in ["proven_time", "transparency_log", "unexpired", "same_signer"] {
		not accepted(replaced(concat("/", ["requirements/0", member]), false))
	}
	not accepted(replaced("publishers/0/signers/4/any_identity", false))
}

test_a_signer_has_one_identity_and_what_its_method_needs if {
	every path, value in {
		"publishers/0/signers/0/identity_pattern": "a",
		"publishers/0/signers/0/any_identity": true,
		"publishers/0/signers/0/allow_expired": true,
		"publishers/0/signers/2/any_identity": true,
		"publishers/0/signers/2/identity_pattern": "a",
		"publishers/0/signers/2/issuer": "https://i.example",
		"publishers/0/signers/5/root": "r",
		"publishers/0/signers/6/root": "r",
	} {
		not accepted(put(path, value))
	}
	every method in ["sigstore", "certificate", "key", "first-use", "other"] {
		count([number | some number in [0, 2, 5, 6]; accepted(replaced(sprintf("publishers/0/signers/%d/method", [number]), method))]) == count([own | some own in ["sigstore", "certificate", "key", "first-use"]; own == method])
	}

	# Who states something has to be named.
	not accepted(replaced("requirements/0/attestations/0/signers/0", {"method": "first-use"}))
	accepted(replaced("requirements/0/attestations/0/signers/0", full.publishers[0].signers[2]))
}

test_a_requirement_requires_something if {
	every rule in [{"name": "x"}, {"name": "x", "effect": "deny"}, {"name": "x", "where": {}, "effect": "warn"}] {
		not accepted(replaced("requirements/0", rule))
		faults(replaced("requirements/0", rule)) == {`requirements[0] "x", which must have a name and something to require`}
	}
	accepted(replaced("requirements/0", {"name": "x", "unexpired": true}))
}

test_globs_can_match if {
	every path in ["publishers/0/models/1", "requirements/0/where/models/0", "exceptions/0/models/0"] {
		every wildcard in ["hf://org/*", "hf://x/m", "s3://b", "hf://org/m-*", "s3://b/**/v1@2", "file:///srv/x", "abfs://**"] {
			accepted(replaced(path, wildcard))
		}
		every wildcard in [
			"org/*", "**", "*", "/srv/models", "hf://", "://x", "hf://org/m@main", "hf://org/", "hf://org//m",
			"hf://org/../m", "hf://./m", "hf://org/?", "hf://[ab]/m", "hf://a[/m", "hf://a]/m", "hf://{a}/m", "hf://a}/m",
			`hf://a\b`, "file://srv/../x", "file:////srv", "file:///", "hf:///x", "a://b://c",
		] {
			not accepted(replaced(path, wildcard))
		}
	}
	every path in ["publishers/0/allow_unsigned/0", "publishers/0/allow_ignored/0", "exceptions/0/paths/0"] {
		every wildcard in ["a", "a/b", "**", "*.py", "a@b", "..a", "a:b"] {
			accepted(replaced(path, wildcard))
		}
		every wildcard in ["/a", "a/", "a//b", "./a", "a/..", "a?", "[ab]", "a[", "a]", "{a", "a}", `a\b`] {
			not accepted(replaced(path, wildcard))
		}
	}
}

test_faults_say_where if {
	every path, wanted in {
		"publishers/0/modles": `publishers[0] "Example", of which this is unknown or not as it should be: modles`,
		"requirements/0/unexpried": `requirements[0] "Strict", of which this is unknown or not as it should be: unexpried`,
		"exceptions/0/pahts": `exceptions[0] "moving", of which this is unknown or not as it should be: pahts`,
	} {
		faults(put(path, true)) == {wanted}
	}
	faults(put("requirements/0/where/model", ["x"])) == {`requirements[0] "Strict", of which this is unknown or not as it should be: where`}
	faults(removed("publishers/0/signers")) == {`publishers[0] "Example", which must have name, models and signers`}
	faults(removed("exceptions/0/owner")) == {`exceptions[0] "moving", which must have reason, owner, expires, expires_at, models and codes`}
	faults(put("publishers/-", {"name": 7})) == {"publishers[1], of which this is unknown or not as it should be: name"}
	every other in [null, 7, "x", [], [7], {}] {
		count(faults(replaced("publishers/0", other))) == 1
		count(faults(replaced("requirements/0", other))) == 1
		count(faults(replaced("exceptions/0", other))) == 1
	}
}

default is_accepted(_) := false

is_accepted(lists) if accepted(lists)
