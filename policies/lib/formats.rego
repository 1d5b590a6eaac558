# METADATA
# title: Formats
# description: |
#   Formats that can run code when they are loaded, told by the kinds and names of files: nothing is
#   opened. A Keras file may hold a lambda, a module beside a model may be named by `auto_map`.
package oms_gate.lib.formats

import data.oms_gate.lib.findings
import data.oms_gate.lib.publishers

# METADATA
# title: Files that can run code
# description: |
#   Their paths, by the name of the format. A file that need not be signed is no safer than one that
#   is. What is the signature or a download client's own is no part of the model.
# scope: document
unsafe.pickle contains path if some path in of_kind("pickle")

unsafe.archive contains path if some path in of_kind("archive")

unsafe.code contains path if some path in of_kind("code")

unsafe.keras contains path if some path in weights_with(`(?i)\.(?:keras|h5|hdf5)\z`)

unsafe.tensorflow contains path if some path in weights_with(`(?i)\.(?:pb|pbtxt)\z`)

of_kind(kind) := {path | some path in input.coverage.signed_files[kind]} | ({file.path |
	some file in input.coverage.unsigned
	file.kind == kind
} | {file.path |
	some file in input.coverage.ignored
	file.kind == kind
	file.scope in {"default", "signer"}
})

weights_with(ending) := {path |
	has_unsafe_weights
	some path in of_kind("weights")
	regex.match(ending, path)
}

default has_unsafe_weights := false

# The signed ones all at once, as there may be thousands, and hardly ever one of these.
has_unsafe_weights if has_unsafe_ending(concat("\n", input.coverage.signed_files.weights))

has_unsafe_weights if {
	some list in ["unsigned", "ignored"]
	some file in input.coverage[list]
	file.kind == "weights"
	has_unsafe_ending(file.path)
}

has_unsafe_ending(names) if regex.match(`(?i)\.(?:keras|h5|hdf5|pb|pbtxt)(?:\n|\z)`, names)

# METADATA
# title: Formats that the signer may publish
# description: Those that the rules which name the signer allow to it (`allow_formats`).
allowed contains format if {
	some rule in publishers.heeded
	some format in rule.allow_formats
}

# METADATA
# title: What of a requirement on formats is not met
# description: |
#   `restricted_formats`: those that only signers may publish whose publisher rule has them under
#   `allow_formats`.
unmet(requirement) := {finding |
	some format in requirement.restricted_formats
	not format in allowed
	files := [{"path": path} | some path in sort(unsafe[format])]
	problem := $`can run code when it is loaded ({format}), which the requirement "{requirement.name}" takes only from signers whose publisher rule has it under allow_formats; publish it in a safe format such as safetensors`
	some finding in findings.of_files("requirement.format", files, problem)
}
