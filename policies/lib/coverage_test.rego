package oms_gate.lib.coverage_test

import data.oms_gate.lib.coverage
import data.oms_gate.lib.document
import data.oms_gate.lib.samples_test as samples

rule := object.union(samples.rule, {
	"models": ["hf://**"],
	"allow_unsigned": ["assets/**", "*.log"],
	"allow_ignored": ["build/*.toml"],
})

none := {"signed": 2, "signed_bytes": 2, "signed_files": {"weights": ["a.gguf", "b.gguf"]}, "missing": [], "unsigned": [], "ignored": []}

denied(members) := found if {
	found := coverage.deny with input as samples.changed(samples.model, {"/coverage": object.union(none, members)})
		with data.oms_gate.publishers as [rule]
		with data.oms_gate.exceptions as []
}

warned(members) := found if {
	found := coverage.warn with input as samples.changed(samples.model, {"/coverage": object.union(none, members)})
		with data.oms_gate.publishers as [rule]
		with data.oms_gate.exceptions as []
}

unsigned(path, kind) := {"unsigned": [{"path": path, "size": 1, "kind": kind}]}

ignored(path, kind, scope) := {"ignored": [{"path": path, "size": 1, "kind": kind, "scope": scope}]}

read := ["weights", "pickle", "code", "config", "tokenizer", "archive"]

test_what_is_signed_and_there_is_covered if {
	denied({}) == set()
	warned({}) == set()
}

test_nothing_signed_is_denied if {
	samples.codes(denied({"signed": 0, "signed_files": {}})) == {"coverage.missing"}
	samples.says(denied({"signed": 0, "signed_files": {}}), "no file of the model is signed")
	coverage.nothing_signed == denied({"signed": 0, "signed_files": {}}) with input as {"coverage": {"signed": 0}}
	coverage.nothing_signed == set() with input as samples.model
}

test_missing_files_are_denied if {
	found := denied({"missing": ["config.json", "x"]})
	samples.codes(found) == {"coverage.missing"}
	samples.paths(found) == {"config.json", "x"}
	samples.says(found, "config.json is signed but not there")
	paths := [sprintf("model-%d", [number]) | some number in numbers.range(1, 100)]
	count(denied({"missing": paths})) == 21
}

test_unsigned_files_that_are_read_are_denied if {
	every kind in array.concat(read, ["other"]) {
		found := denied(unsigned("x", kind))
		samples.codes(found) == {"coverage.unsigned"}
		samples.says(found, "x is not signed although a loader may read it")
	}
}

test_unsigned_files_that_are_not_read_are_allowed if {
	every kind in ["document", "image", "vcs", "signature", "cache"] {
		denied(unsigned("x", kind)) == set()
	}
}

test_unsigned_files_that_the_rule_names_are_allowed if {
	every path, allowed in {
		"assets/a/b.py": true,
		"x.log": true,
		"a/x.log": false,
		"x.log\n": false,
		"b/assets/a.py": false,
		"build/x.toml": false,
	} {
		is_empty(denied(unsigned(path, "code"))) == allowed
	}
}

test_files_that_the_signer_left_out_are_denied if {
	every kind in read {
		found := denied(ignored("x", kind, "signer"))
		samples.codes(found) == {"coverage.ignored"}
		samples.says(found, "x was left out of the signature by its signer although")
		warned(ignored("x", kind, "signer")) == set()
	}
}

test_an_unknown_file_that_the_signer_left_out_is_warned_of if {
	denied(ignored("x", "other", "signer")) == set()
	found := warned(ignored("x", "other", "signer"))
	samples.codes(found) == {"coverage.ignored"}
	samples.paths(found) == {"x"}
	samples.says(found, "by its signer; make sure that nothing reads it")
	count(found) == 1
}

test_files_that_no_loader_reads_may_be_ignored if {
	every kind in ["document", "image", "vcs", "signature", "cache"] {
		every scope in ["signer", "default"] {
			denied(ignored("x", kind, scope)) == set()
			warned(ignored("x", kind, scope)) == set()
		}
	}
}

test_the_signature_and_bookkeeping_may_be_ignored if {
	every kind in document.kinds {
		every scope in ["signature", "cache"] {
			denied(ignored("x", kind, scope)) == set()
			warned(ignored("x", kind, scope)) == set()
		}
	}
}

test_files_that_the_format_leaves_out_are_allowed_if_nothing_loads_them if {
	denied(ignored(".github/x", "other", "default")) == set()
	warned(ignored(".github/x", "other", "default")) == set()
	every kind in ["document", "image"] {
		of_model("hf://datasets/example/data", ignored(".github/x", kind, "default")) == set()
	}
}

test_files_that_the_format_leaves_out_are_denied_if_a_loader_reads_them if {
	every kind in ["weights", "pickle", "code", "archive"] {
		found := denied(ignored(".github/x", kind, "default"))
		samples.codes(found) == {"coverage.ignored"}
		samples.says(found, "x is where the format signs nothing (.git, .github) although")
		not samples.says(found, "by its signer")
	}
}

test_configuration_that_the_format_leaves_out_is_warned_of if {
	every kind in ["config", "tokenizer"] {
		denied(ignored(".github/x", kind, "default")) == set()
		found := warned(ignored(".github/x", kind, "default"))
		samples.codes(found) == {"coverage.ignored"}
		samples.says(found, "x is where the format signs nothing (.git, .github); make sure")
		count(found) == 1
	}
}

test_ignored_files_that_the_rule_names_are_allowed if {
	every scope in ["signer", "default"] {
		denied(ignored("build/x.toml", "code", scope)) == set()
		count(denied(ignored("build/a/x.toml", "code", scope))) == 1
		count(denied(ignored("assets/x.toml", "code", scope))) == 1
	}
}

test_what_accompanies_a_model_is_the_payload_of_datasets_and_spaces if {
	every kind in ["document", "image"] {
		every list in [unsigned("x", kind), ignored("x", kind, "signer")] {
			every name in ["hf://datasets/example/data", "hf://spaces/example/app"] {
				count(of_model(name, list)) == 1
			}
			every name in ["hf://example/model", "hf://datasets-and-more/x", "hf://example/datasets/x"] {
				of_model(name, list) == set()
			}
		}
	}
	every kind in ["cache", "signature", "vcs"] {
		of_model("hf://datasets/example/data", unsigned("x", kind)) == set()
		of_model("hf://spaces/example/data", ignored("x", kind, "signer")) == set()
	}
}

of_model(name, members) := found if {
	document_ := samples.changed(samples.model, {"/model/name": name, "/coverage": object.union(none, members)})
	found := coverage.deny with input as document_ with data.oms_gate.publishers as [rule]
		with data.oms_gate.exceptions as []
}

test_the_documents_of_a_skill_are_instructions if {
	every skill, is_beside in {
		"SKILL.md": true,
		"a/Skill.md": true,
		"A/skill.md": true,
		"myskill.md": false,
		"a/myskill.md": false,
		"a/b/SKILL.md": false,
		"a/README.md": false,
	} {
		signed := {"signed": 1, "signed_files": {"config": [skill]}}
		every list in [unsigned("a/more.md", "document"), ignored("a/more.md", "document", "signer")] {
			is_empty(denied(object.union(signed, list))) != is_beside
		}
		is_empty(denied(object.union(signed, ignored("a/b/c/more.txt", "other", "signer")))) != any_above(skill)
		denied(object.union(signed, unsigned("a/x.png", "image"))) == set()
		denied(object.union(signed, ignored("a/x.png", "image", "signer"))) == set()
	}
}

default any_above(_) := false

any_above(skill) if lower(skill) in {"skill.md", "a/skill.md", "a/b/skill.md"}

test_a_skill_is_a_configuration_file_wherever_it_is if {
	more := {"path": "d/x.md", "size": 1, "kind": "document"}
	skill := {"path": "d/SKILL.md", "size": 1, "kind": "config"}
	samples.paths(denied({"unsigned": [skill, more]})) == {"d/SKILL.md", "d/x.md"}
	hidden := object.union(skill, {"scope": "default"})
	samples.paths(denied({"ignored": [hidden], "unsigned": [more]})) == {"d/x.md"}
	documents := object.union(skill, {"kind": "document"})
	denied({"unsigned": [documents, more]}) == set()
}

test_only_a_skill_makes_its_folder_one if {
	# In a bucket, a file may have the name of a folder.
	files := {"config": ["a/x.json", "more.md/SKILL.md"]}
	every path in ["a/x.json/more.md", "more.md"] {
		denied(object.union(unsigned(path, "document"), {"signed_files": files})) == set()
	}
	count(denied(object.union(unsigned("more.md/x.md", "document"), {"signed_files": files}))) == 1
}

test_no_allowance_allows_not_even_an_empty_name if {
	document_ := samples.changed(samples.model, {"/coverage": object.union(none, unsigned("", "code"))})
	found := coverage.deny with input as document_ with data.oms_gate.publishers as samples.publishers
		with data.oms_gate.exceptions as []
	samples.codes(found) == {"coverage.unsigned"}
}

test_a_rule_that_trusts_another_signer_allows_no_files if {
	rules := [
		samples.rule,
		object.union(rule, {"name": "B", "signers": [{"method": "key", "key": "k"}], "allow_unsigned": ["**"]}),
	]
	document_ := samples.changed(samples.model, {"/coverage": object.union(none, unsigned("x.py", "code"))})
	found := coverage.deny with input as document_ with data.oms_gate.publishers as rules
		with data.oms_gate.exceptions as []
	samples.codes(found) == {"coverage.unsigned"}
}

required(requirement, members) := found if {
	found := coverage.unmet(object.union({"name": "All signed"}, requirement)) with data.oms_gate.exceptions as []
		with data.oms_gate.publishers as [rule]
		with input as samples.changed(samples.model, {"/coverage": object.union(none, members)})
}

test_kinds_that_have_to_be_signed if {
	wanted := {"signed_kinds": ["document", "code"]}
	every members in [unsigned("assets/x", "code"), unsigned("x.md", "document"), ignored("x", "document", "signer"), ignored("x", "document", "default")] {
		found := required(wanted, members)
		samples.codes(found) == {"coverage.unsigned"}
		samples.says(found, `which the requirement "All signed" wants of every document, code file`)
		required({}, members) == set()
	}
	required(wanted, unsigned("x", "image")) == set()
	required(wanted, {}) == set()
}

test_kinds_that_may_be_ignored if {
	every allowed in [["image"], []] {
		found := required({"ignored_kinds": allowed}, ignored("x.md", "document", "signer"))
		samples.codes(found) == {"coverage.ignored"}
		samples.says(found, `x.md was left out of the signature by its signer, which the requirement "All signed" does not let pass for its kind (document)`)
	}
	required({"ignored_kinds": ["image", "document"]}, ignored("x.md", "document", "signer")) == set()
	required({"ignored_kinds": []}, ignored("x.md", "document", "default")) == set()
	required({"ignored_kinds": []}, unsigned("x.md", "document")) == set()
	required({}, ignored("x.md", "document", "signer")) == set()
}

default is_empty(_) := false

is_empty(found) if count(found) == 0

test_who_loads_a_dataset_reads_its_json if {
	every name in ["hf://datasets/example/data", "hf://spaces/example/app"] {
		json_is_data_of(name)
	}
}

json_is_data_of(name) if {
	named := {"/model/name": name}
	every path in ["train.intoto.jsonl", "a/x.sigstore.JSON"] {
		every members in [unsigned(path, "signature"), ignored(path, "signature", "signer")] {
			document := samples.changed(samples.model, {"/coverage": object.union(none, members)})
			count(coverage.deny) == 0 with input as document
				with data.oms_gate.publishers as [rule]
				with data.oms_gate.exceptions as []
			count(coverage.deny) == 1 with input as samples.changed(document, named)
				with data.oms_gate.publishers as [rule]
				with data.oms_gate.exceptions as []
		}
	}
	document := samples.changed(samples.model, {"/coverage": object.union(none, unsigned("x.json.sig", "signature"))})
	count(coverage.deny) == 0 with input as samples.changed(document, named)
		with data.oms_gate.publishers as [rule]
		with data.oms_gate.exceptions as []
	bookkeeping := unsigned(".cache/huggingface/trees/0.json", "cache")
	downloaded := samples.changed(samples.model, {"/coverage": object.union(none, bookkeeping)})
	count(coverage.deny) == 0 with input as samples.changed(downloaded, named)
		with data.oms_gate.publishers as [rule]
		with data.oms_gate.exceptions as []
}
