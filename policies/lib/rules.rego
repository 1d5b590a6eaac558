# METADATA
# title: The rules
# description: |
#   Whether the data are whole: a list of rules that is missing, or a member that is misspelt, would
#   require nothing. `oms-gate config data` makes whole ones of a gate.yaml.
package oms_gate.lib.rules

default valid := false

# METADATA
# description: Whether publishers, requirements and exceptions are there, and as they should be.
valid if {
	is_array(data.oms_gate.publishers)
	is_array(data.oms_gate.requirements)
	is_array(data.oms_gate.exceptions)
}
