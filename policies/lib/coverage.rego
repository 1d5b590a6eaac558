# METADATA
# title: Coverage
# description: |
#   Whether the signature covers what a loader reads. What a file is to a loader is its kind.
#
#   In a dataset and in a Space (hf://datasets/.., hf://spaces/..) documents and images have to be
#   signed too: there they are what is loaded. So have documents in the folder of a SKILL.md: agents
#   read them.
package oms_gate.lib.coverage

import data.oms_gate.lib.findings
import data.oms_gate.lib.globs
import data.oms_gate.lib.publishers

# No loader reads these.
inert contains "cache"

inert contains "signature"

inert contains "vcs"

# What accompanies a model is the payload of a dataset and of a Space: images are examples, and the
# head of README.md says which data or which program to load.
inert contains kind if {
	some kind in ["document", "image"]
	name := input.model.name
	every prefix in ["hf://datasets/", "hf://spaces/"] {
		not startswith(name, prefix)
	}
}

# A skill sends its agent to the texts beside it.
instructs(file) if {
	count(skills) > 0
	file.kind in {"document", "other"}
	folders := split(lower(file.path), "/")
	some depth in numbers.range(0, count(folders) - 1)

	# A look-up. "in" goes through all of a set in WebAssembly, and there may be many skills.
	skills[concat("/", array.slice(folders, 0, depth))]
}

# The folders of skills; that of the whole model has no name. A SKILL.md is of the kind "config".
skills contains "" if {
	some path in configurations
	lower(path) == "skill.md"
}

skills contains trim_suffix(path, "/skill.md") if {
	some configuration in configurations
	path := lower(configuration)
	endswith(path, "/skill.md")
}

configurations contains path if some path in input.coverage.signed_files.config

configurations contains file.path if {
	some list in ["unsigned", "ignored"]
	some file in input.coverage[list]
	file.kind == "config"
}

refused_unsigned := [file | some file in input.coverage.unsigned; not may_be_unsigned(file)]

may_be_unsigned(file) if {
	file.kind in inert
	not instructs(file)
	not is_data(file)
}

may_be_unsigned(file) if regex.match(allowed_paths.allow_unsigned, file.path)

# Who loads a dataset reads every JSON file of it, whatever it is called. Attestations that count
# are of the scope "signature".
is_data(file) if {
	file.kind == "signature"
	regex.match(`(?i)\.jsonl?\z`, file.path)
	some prefix in ["hf://datasets/", "hf://spaces/"]
	startswith(input.model.name, prefix)
}

noteworthy_ignored := [file | some file in input.coverage.ignored; not may_be_ignored(file)]

# The bundle itself, and a download client's bookkeeping.
may_be_ignored(file) if file.scope in {"cache", "signature"}

may_be_ignored(file) if {
	file.kind in inert
	not instructs(file)
	not is_data(file)
}

# Below .git and .github, nobody could have signed documents, images and what nobody knows.
may_be_ignored(file) if {
	file.scope == "default"
	file.kind in {"document", "image", "other"}
}

may_be_ignored(file) if regex.match(allowed_paths.allow_ignored, file.path)

refused_ignored := [file | some file in noteworthy_ignored; not is_only_warned_of(file)]

is_only_warned_of(file) if {
	file.scope == "signer"
	file.kind == "other"
	not instructs(file)
}

# Workflows and the like, but instructions to an agent as well.
is_only_warned_of(file) if {
	file.scope == "default"
	file.kind in {"config", "tokenizer"}
}

# One expression for all the paths that the rules that name the signer allow; none where they allow none.
allowed_paths[permission] := globs.any_of(wildcards) if {
	some permission in ["allow_ignored", "allow_unsigned"]
	wildcards := {wildcard |
		some rule in publishers.heeded
		some wildcard in rule[permission]
	}
	count(wildcards) > 0
}

# METADATA
# title: Nothing is signed
# description: What no exception covers, as there is nothing to admit.
nothing_signed contains {"code": "coverage.missing", "msg": "no file of the model is signed; sign the model itself"} if {
	not input.coverage.signed > 0
}

# METADATA
# title: Files that stand against the model
# description: What is missing, and what a loader may read although it is not signed.
# scope: document
deny contains finding if some finding in nothing_signed

deny contains finding if {
	missing := [{"path": path} | some path in input.coverage.missing]
	some finding in findings.of_files("coverage.missing", missing, "is signed but not there; restore it, or sign the model as it is now")
}

deny contains finding if {
	some finding in findings.of_files("coverage.unsigned", refused_unsigned, "is not signed although a loader may read it; sign it, remove it, or let allow_unsigned of the publisher rule name it")
}

deny contains finding if {
	files := [file | some file in refused_ignored; not file.scope == "default"]
	some finding in findings.of_files("coverage.ignored", files, "was left out of the signature by its signer although a loader may read it; sign it, remove it, or let allow_ignored of the publisher rule name it")
}

deny contains finding if {
	files := [file | some file in refused_ignored; file.scope == "default"]
	some finding in findings.of_files("coverage.ignored", files, "is where the format signs nothing (.git, .github) although a loader may read it; move it, remove it, or let allow_ignored of the publisher rule name it")
}

# METADATA
# title: Files that may stand against the model
# description: What is left out of the signature, and may be read by something.
warn contains finding if {
	some scope, problem in {
		"signer": "was left out of the signature by its signer; make sure that nothing reads it",
		"default": "is where the format signs nothing (.git, .github); make sure that no loader and no agent reads it",
	}
	files := [file | some file in noteworthy_ignored; file.scope == scope; is_only_warned_of(file)]
	some finding in findings.of_files("coverage.ignored", files, problem)
}

# METADATA
# title: What of a requirement on coverage is not met
# description: |
#   `signed_kinds`: kinds of which every file has to be
#   signed, whatever the publisher rule allows. `ignored_kinds`: the only kinds that a signer may
#   leave out.
unmet(requirement) := unsigned_kinds(requirement) | ignored_kinds(requirement)

unsigned_kinds(requirement) := {finding |
	files := [file |
		some list in ["unsigned", "ignored"]
		some file in input.coverage[list]
		file.kind in requirement.signed_kinds
	]
	problem := $`is not signed, which the requirement "{requirement.name}" wants of every {concat(", ", requirement.signed_kinds)} file; sign it or remove it`
	some finding in findings.of_files("coverage.unsigned", files, problem)
}

ignored_kinds(requirement) := {finding |
	allowed := requirement.ignored_kinds
	files := [file |
		some file in input.coverage.ignored
		file.scope == "signer"
		not file.kind in allowed
	]
	problem := $`was left out of the signature by its signer, which the requirement "{requirement.name}" does not let pass for its kind ({concat(", ", sort({file.kind | some file in files}))}); sign it or remove it`
	some finding in findings.of_files("coverage.ignored", files, problem)
}
