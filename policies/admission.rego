# METADATA
# title: Admission of models
# description: |
#   Whether a model may be used: the standard policy of the library (lib/), over the rules of
#   gate.yaml. Further files of this package may add to `deny`, `warn` and `annotations`.
package oms_gate.admission

import data.oms_gate.lib.standard

# METADATA
# title: Decision
# description: What the gate asks for, as an object; `require` is there where the rules say it.
# entrypoint: true
decision := object.union(
	{"allow": allow, "deny": deny, "warn": warn, "annotations": annotations},
	standard.requirement,
)

default allow := false

# METADATA
# title: The model is allowed
# description: The standard policy allows it, and nothing here denies it.
# scope: document
allow if {
	standard.allow
	count(deny) == 0
}

# METADATA
# title: What denies the model
# description: Findings with a code, a message, and the path of a file where they are about one.
deny contains finding if some finding in standard.deny

# METADATA
# title: What does not deny the model
# description: Findings as those of `deny`.
warn contains finding if some finding in standard.warn

# METADATA
# title: What is said of the model
# description: Texts by their names, for verdicts and logs.
annotations[name] := text if some name, text in standard.annotations
