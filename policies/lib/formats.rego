# METADATA
# title: Formats
# description: |
#   Formats that can run code when they are loaded, told by the kinds and names of files: nothing is
#   opened. A Keras file may hold a lambda, a module beside a model may be named by `auto_map`.
package oms_gate.lib.formats

import data.oms_gate.lib.publishers

# METADATA
# description: The signed files of formats that can run code, as sets of paths by format.
unsafe.pickle contains path if some path, _ in input.coverage.signed_files.pickle

unsafe.archive contains path if some path, _ in input.coverage.signed_files.archive

unsafe.code contains path if some path, _ in input.coverage.signed_files.code

unsafe.keras contains path if {
	some path, _ in input.coverage.signed_files.weights
	regex.match(`(?i)\.(?:keras|h5|hdf5)\z`, path)
}

unsafe.tensorflow contains path if {
	some path, _ in input.coverage.signed_files.weights
	regex.match(`(?i)\.(?:pb|pbtxt)\z`, path)
}

# METADATA
# description: The formats that the rules which trust the signer allow to it by name.
allowed contains format if {
	some rule in publishers.trusting
	some format in rule.allow_formats
}

# METADATA
# description: |
#   What of a requirement on formats is not met. `restricted_formats`: those that only signers may
#   publish whose publisher rule says so (allow_formats).
unmet(requirement) := {{"code": "requirement.format", "msg": msg, "path": first} |
	some format in requirement.restricted_formats
	not format in allowed
	paths := sort(unsafe[format])
	first := paths[0]
	others := count(paths) - 1
	also := {true: $` (and {others} more)`, false: ""}[others > 0]
	msg := $`{first}{also} can run code when it is loaded ({format}), which the requirement "{requirement.name}" takes only from signers whose publisher rule has it under allow_formats; publish it in a safe format such as safetensors`
}
