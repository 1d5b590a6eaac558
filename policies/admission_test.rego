package oms_gate.admission_test

import data.oms_gate.admission

sigstore := {
	"method": "sigstore",
	"identity": "release@example.com",
	"issuer": "https://issuer.example",
	"root": "public-good",
}

publishers := [{
	"name": "Example",
	"models": ["hf://example/*"],
	"signers": [sigstore],
	"allow_unsigned": ["assets/**"],
	"allow_ignored": ["build.toml"],
	"assurance": "declared",
}]

model := {
	"schema": "oms-gate/input/v1",
	"model": {"name": "hf://example/model"},
	"signer": {
		"method": "sigstore",
		"identity": "release@example.com",
		"issuer": "https://issuer.example",
		"subject": null,
		"expired_at": null,
		"root": {"name": "public-good"},
	},
	"signature": {"format": "v1.0", "sorted": true},
	"coverage": {"signed": 3, "missing": [], "unsigned": [], "ignored": []},
}

# The decision on the model with some of its members replaced.
decided(changes) := decision if {
	decision := admission.decision with input as object.union(model, changes)
		with data.oms_gate.publishers as publishers
}

codes(decision) := {finding.code | some finding in decision.deny}

test_the_publishers_model_is_allowed if {
	decided({}) == {
		"allow": true,
		"deny": set(),
		"warn": set(),
		"annotations": {"publisher": "Example"},
		"require": "declared",
	}
}

test_the_format_before_oms_is_noted if {
	decided({"signature": {"format": "v0.2"}}).annotations.format == "v0.2"
	not decided({}).annotations.format
}

test_the_strictest_rule_counts_for_expired_certificates_too if {
	anyone := {"method": "certificate", "root": "ca", "any_identity": true}
	lenient := object.union(anyone, {"allow_expired": true})
	rules := [
		{"name": "A", "models": ["hf://example/*"], "signers": [anyone], "assurance": "bytes"},
		{"name": "B", "models": ["hf://example/*"], "signers": [lenient], "assurance": "signature"},
	]
	signer := object.union(certificate("a@example.com", "CN=a"), {"expired_at": "2026-01-02T03:04:05Z"})
	changed := object.union(object.remove(model, ["signer"]), {"signer": signer})
	decision := admission.decision with input as changed with data.oms_gate.publishers as rules
	decision.allow
	decision.require == "bytes"
}

test_another_schema_is_refused if {
	some schema in ["oms-gate/input/v2", "oms-gate/input/v10", "", null]
	not decided({"schema": schema}).allow
}

test_no_input_is_refused if {
	decision := admission.decision with data.oms_gate.publishers as publishers
	not decision.allow
	decision.deny[0].code == "policy.error"
}

test_nothing_is_allowed_without_rules if {
	decision := admission.decision with input as model
	codes(decision) == {"publisher.unknown"}
}

test_a_longer_name_is_another_publishers if {
	codes(decided({"model": {"name": "hf://example-evil/model"}})) == {"publisher.unknown"}
}

test_a_rule_covers_what_is_below if {
	decided({"model": {"name": "hf://example/model/onnx"}}).allow
}

test_another_signer_is_refused if {
	every change in [
		{"identity": "release@example.com.evil.test"},
		{"identity": "Release@example.com"},
		{"issuer": "https://issuer.example.evil.test"},
		{"method": "key"},
		{"method": "certificate"},
		{"root": {"name": "staging"}},
	] {
		codes(decided({"signer": change})) == {"publisher.wrong-signer"}
	}
}

test_missing_files_are_refused if {
	decision := decided({"coverage": {"missing": ["config.json"]}})
	codes(decision) == {"coverage.missing"}
	{finding.path | some finding in decision.deny} == {"config.json"}
}

test_a_hundred_missing_files_are_named_in_part if {
	paths := [concat("", ["model-", format_int(i, 10)]) | some i in numbers.range(1, 100)]
	decision := decided({"coverage": {"missing": paths}})
	count(decision.deny) == 21
	some finding in decision.deny
	startswith(finding.msg, "the same goes for 80 more files")
}

test_nothing_signed_is_refused if {
	codes(decided({"coverage": {"signed": 0}})) == {"coverage.missing"}
}

test_unsigned_files_that_are_read_are_refused if {
	every kind in ["weights", "pickle", "code", "config", "tokenizer", "archive", "other", "new"] {
		file := {"path": "x", "size": 1, "kind": kind}
		codes(decided({"coverage": {"unsigned": [file]}})) == {"coverage.unsigned"}
	}
}

test_unsigned_files_that_are_not_read_are_allowed if {
	every kind in ["document", "image", "vcs", "signature", "cache"] {
		decided({"coverage": {"unsigned": [{"path": "x", "size": 1, "kind": kind}]}}).allow
	}
}

test_unsigned_files_that_the_rule_names_are_allowed if {
	decided({"coverage": {"unsigned": [{"path": "assets/a/b.py", "size": 1, "kind": "code"}]}}).allow
}

test_a_file_without_a_kind_is_refused if {
	not decided({"coverage": {"unsigned": [{"path": "x"}]}}).allow
}

test_files_that_the_signer_left_out_are_refused if {
	every kind in ["weights", "pickle", "code", "config", "tokenizer", "archive", "new"] {
		file := {"path": "x", "size": 1, "kind": kind, "scope": "signer"}
		codes(decided({"coverage": {"ignored": [file]}})) == {"coverage.ignored"}
	}
}

test_an_unknown_file_that_the_signer_left_out_is_warned_of if {
	file := {"path": "x", "size": 1, "kind": "other", "scope": "signer"}
	decision := decided({"coverage": {"ignored": [file]}})
	decision.allow
	{finding.path | some finding in decision.warn} == {"x"}
}

test_the_signature_and_bookkeeping_may_be_ignored if {
	every scope in ["signature", "cache"] {
		file := {"path": "x", "size": 1, "kind": "code", "scope": scope}
		decided({"coverage": {"ignored": [file]}}).allow
	}
}

test_files_that_the_format_leaves_out_are_allowed_if_nothing_loads_them if {
	every kind in ["document", "image", "vcs", "other"] {
		file := {"path": ".github/x", "size": 1, "kind": kind, "scope": "default"}
		decision := decided({"coverage": {"ignored": [file]}})
		decision.allow
		count(decision.warn) == 0
	}
}

test_files_that_the_format_leaves_out_are_refused_if_a_loader_reads_them if {
	every kind in ["weights", "pickle", "code", "archive", "new"] {
		file := {"path": ".github/x", "size": 1, "kind": kind, "scope": "default"}
		decision := decided({"coverage": {"ignored": [file]}})
		codes(decision) == {"coverage.ignored"}
		every finding in decision.deny {
			contains(finding.msg, "the format signs nothing")
		}
	}
}

test_files_that_the_format_leaves_out_are_allowed_if_the_rule_names_them if {
	file := {"path": "build.toml", "size": 1, "kind": "code", "scope": "default"}
	decided({"coverage": {"ignored": [file]}}).allow
}

test_configuration_that_the_format_leaves_out_is_warned_of if {
	file := {"path": ".github/x", "size": 1, "kind": "config", "scope": "default"}
	decision := decided({"coverage": {"ignored": [file]}})
	decision.allow
	{finding.path | some finding in decision.warn} == {".github/x"}
}

test_ignored_files_of_an_unknown_scope_or_kind_are_refused if {
	every change in [{"scope": "new"}, {"kind": "new"}] {
		file := object.union({"path": "x", "size": 1, "kind": "other", "scope": "default"}, change)
		not decided({"coverage": {"ignored": [file]}}).allow
	}
}

# The decision on a file of some kind in something else than a model.
decided_on(name, list, kind) := decision if {
	rules := [{"name": "Any", "models": ["hf://**"], "signers": [sigstore]}]
	file := {"path": "x", "size": 1, "kind": kind, "scope": "signer"}
	changed := object.union(model, {"model": {"name": name}, "coverage": {list: [file]}})
	decision := admission.decision with input as changed with data.oms_gate.publishers as rules
}

test_what_accompanies_a_model_is_the_payload_of_datasets_and_spaces if {
	every list in ["unsigned", "ignored"] {
		every kind in ["document", "image"] {
			every name in ["hf://datasets/example/data", "hf://spaces/example/app"] {
				codes(decided_on(name, list, kind)) == {concat(".", ["coverage", list])}
			}
			every name in ["hf://example/model", "hf://datasets-and-more/x", "hf://example/datasets/x"] {
				decided_on(name, list, kind).allow
			}
		}
		every kind in ["cache", "signature", "vcs"] {
			decided_on("hf://datasets/example/data", list, kind).allow
		}
	}
}

test_the_documents_of_a_skill_are_instructions if {
	skills := [{"path": "SKILL.md"}, {"path": "a/Skill.md"}, {"path": "myskill.md"}, {"path": "a/b/SKILL.md"}]
	expected := [true, true, false, false]
	every number, skill in skills {
		every list in ["unsigned", "ignored"] {
			file := {"path": "a/more.md", "size": 1, "kind": "document", "scope": "signer"}
			coverage := {"signed_files": [object.union(skill, {"kind": "config", "size": 1})], list: [file]}
			decided({"coverage": coverage}).allow != expected[number]
			picture := object.union(file, {"kind": "image"})
			decided({"coverage": object.union(coverage, {list: [picture]})}).allow
		}
	}
	unsigned := [{"path": "SKILL.md", "kind": "config"}, {"path": "x.md", "kind": "document"}]
	decision := decided({"coverage": {"unsigned": unsigned}})
	{finding.path | some finding in decision.deny} == {"SKILL.md", "x.md"}
}

test_the_local_copy_of_a_download_is_explained if {
	commit := concat("", [c | some i in numbers.range(1, 40); c := format_int(i % 10, 10)])
	names := {
		concat("", ["file:///cache/hub/models--org--m/snapshots/", commit]): true,
		concat("", ["file:///cache/hub/models--org--m/snapshots/", commit, "/x.gguf"]): true,
		concat("", ["file:///cache/hub/models--org--m/snapshots/", commit, "0"]): false,
		concat("", ["hf://models--org--m/snapshots/", commit]): false,
		"file:///cache/hub/models--org--m/snapshots/main": false,
		"file:///srv/models/m": false,
	}
	every name, explained in names {
		decision := admission.decision with input as object.union(model, {"model": {"name": name}})
		codes(decision) == {"publisher.unknown"}
		every finding in decision.deny {
			contains(finding.msg, "does not cover its local copy") == explained
		}
	}
}

test_ignored_files_that_the_rule_names_are_allowed if {
	file := {"path": "build.toml", "size": 1, "kind": "config", "scope": "signer"}
	decided({"coverage": {"ignored": [file]}}).allow
}

test_coverage_that_is_not_there_is_refused if {
	every member in ["signed", "missing", "unsigned", "ignored"] {
		coverage := object.remove(model.coverage, [member])
		broken := object.union(object.remove(model, ["coverage"]), {"coverage": coverage})
		decision := admission.decision with input as broken
			with data.oms_gate.publishers as publishers
		not decision.allow
	}
}

test_unsorted_resources_are_noted if {
	decided({"signature": {"sorted": false}}).annotations.unsorted == "true"
}

test_the_strictest_rule_counts if {
	rules := array.concat(publishers, [{
		"name": "All",
		"models": ["hf://**"],
		"signers": [sigstore],
		"assurance": "bytes",
	}])
	decision := admission.decision with input as model with data.oms_gate.publishers as rules
	decision.require == "bytes"
	decision.annotations.publisher == "All, Example"
}

test_a_rule_that_trusts_another_signer_allows_no_files if {
	rules := [
		{"name": "A", "models": ["hf://example/*"], "signers": [sigstore]},
		{
			"name": "B",
			"models": ["hf://example/*"],
			"signers": [{"method": "key", "key": "k"}],
			"allow_unsigned": ["**"],
		},
	]
	changed := object.union(model, {"coverage": {"unsigned": [{"path": "x.py", "kind": "code"}]}})
	decision := admission.decision with input as changed with data.oms_gate.publishers as rules
	codes(decision) == {"coverage.unsigned"}
}

test_files_that_no_loader_reads_may_be_ignored if {
	file := {"path": "x.md", "size": 1, "kind": "document", "scope": "signer"}
	decision := decided({"coverage": {"ignored": [file]}})
	decision.allow
	count(decision.warn) == 0
}

# The decision where only this rule's signer is trusted and that one has signed.
trusted(rule, signer) := decision if {
	rules := [{"name": "Example", "models": ["hf://example/*"], "signers": [rule]}]
	changed := object.union(object.remove(model, ["signer"]), {"signer": signer})
	decision := admission.decision with input as changed with data.oms_gate.publishers as rules
}

certificate(identity, subject) := {
	"method": "certificate",
	"identity": identity,
	"subject": subject,
	"expired_at": null,
	"root": {"name": "ca"},
}

test_a_pattern_is_anchored_and_whole if {
	every pattern in [`example`, `.*@example`, `release@example.com.+`, `x)|(.*`, `(`] {
		rule := {
			"method": "sigstore",
			"identity_pattern": pattern,
			"issuer": "https://issuer.example",
			"root": "public-good",
		}
		codes(trusted(rule, model.signer)) == {"publisher.wrong-signer"}
	}
}

test_a_certificate_is_known_by_its_name_or_its_subject if {
	name := certificate("release@example.com", "CN=whoever")
	subject := certificate("CN=release@example.com", "CN=release@example.com")
	by_name := {"method": "certificate", "root": "ca", "identity_pattern": `.*release@example\.com`}
	by_subject := {"method": "certificate", "root": "ca", "identity": "CN=release@example.com"}
	trusted(by_name, name).allow
	trusted(by_subject, subject).allow
	not trusted(by_name, subject).allow
	not trusted(by_subject, certificate("CN=release@example.com", "CN=whoever")).allow
}

test_a_uri_may_hold_what_a_subject_does if {
	uri := "https://ci.example.com/sign?team=models"
	every rule in [{"identity": uri}, {"identity_pattern": `https://ci\.example\.com/.*\?team=models`}] {
		signer := object.union({"method": "certificate", "root": "ca"}, rule)
		trusted(signer, certificate(uri, "CN=whoever")).allow
		not trusted(signer, certificate(uri, uri)).allow
	}
}

test_a_name_that_a_subject_does_not_meet_is_explained if {
	subject := certificate("CN=release", "CN=release")
	every pattern, explained in {"release": true, "CN=.*s": false} {
		rule := {"method": "certificate", "root": "ca", "identity_pattern": pattern}
		decision := trusted(rule, subject)
		codes(decision) == {"publisher.wrong-signer"}
		every finding in decision.deny {
			contains(finding.msg, "goes by its subject") == explained
		}
	}
}

test_anyone_under_a_root_is_under_that_root if {
	signer := certificate("anyone@example.com", "CN=anyone")
	trusted({"method": "certificate", "root": "ca", "any_identity": true}, signer).allow
	not trusted({"method": "certificate", "root": "other", "any_identity": true}, signer).allow
}

test_a_certificate_that_has_expired_needs_to_be_allowed if {
	anyone := {"method": "certificate", "root": "ca", "any_identity": true}
	valid := certificate("anyone@example.com", "CN=anyone")
	expired := object.union(valid, {"expired_at": "2026-01-02T03:04:05Z"})
	trusted(anyone, valid).allow
	codes(trusted(anyone, expired)) == {"publisher.expired-signer"}
	codes(trusted(object.union(anyone, {"allow_expired": false}), expired)) == {"publisher.expired-signer"}
	trusted(object.union(anyone, {"allow_expired": true}), expired).allow
	trusted(object.union(anyone, {"allow_expired": true}), valid).allow
	not trusted(anyone, object.remove(valid, ["expired_at"])).allow
	not trusted(object.union(anyone, {"allow_expired": true}), object.remove(valid, ["expired_at"])).allow
}

test_a_key_is_known_by_its_root if {
	signer := {
		"method": "key",
		"identity": "sha256:00",
		"expired_at": null,
		"root": {"name": "release"},
	}
	trusted({"method": "key", "key": "release"}, signer).allow
	not trusted({"method": "key", "key": "sha256:00"}, signer).allow
}

test_a_rule_is_for_its_own_method if {
	whole := {
		"identity": "release@example.com",
		"identity_pattern": ".*",
		"any_identity": true,
		"issuer": "https://issuer.example",
		"root": "public-good",
		"key": "public-good",
	}
	every method, others in {
		"sigstore": ["certificate", "key", "other"],
		"certificate": ["sigstore", "key", "other"],
		"key": ["sigstore", "certificate", "other"],
	} {
		signer := object.union(model.signer, {"method": method})
		trusted(object.union(whole, {"method": method}), signer).allow
		every other in others {
			not trusted(object.union(whole, {"method": other}), signer).allow
		}
	}
}

test_no_issuer_is_nobodys if {
	signer := object.union(model.signer, {"issuer": null})
	not trusted(object.union(sigstore, {"issuer": null}), signer).allow
}

test_an_addition_to_the_policy_denies if {
	added := {{"code": "mine", "msg": "No."}}
	decision := admission.decision with input as model
		with data.oms_gate.publishers as publishers
		with admission.deny as added
	not decision.allow
}
