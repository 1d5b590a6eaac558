# METADATA
# title: Exceptions
# description: |
#   Findings that do not deny for a while, by the list at data.oms_gate.exceptions. Each has an
#   owner, a reason and a time from which on it is none.
package oms_gate.lib.exceptions

import data.oms_gate.lib.globs

# METADATA
# description: Those of the findings that deny.
denying(found) := {finding |
	some candidate in found
	count(covering(candidate)) == 0
	finding := object.union(candidate, {"msg": concat("", [candidate.msg, outdated(candidate)])})
}

# METADATA
# description: Those of the findings that an exception makes warnings.
excepted(found) := {finding |
	some candidate in found
	some exception in covering(candidate)
	msg := $`{candidate.msg} (excepted by {exception.owner} until {exception.expires}: {exception.reason})`
	finding := object.union(candidate, {"msg": msg})
}

covering(finding) := {exception |
	some exception in about(finding)
	input.now < exception.expires_at
}

about(finding) := {exception |
	some exception in data.oms_gate.exceptions
	finding.code in exception.codes
	some glob in exception.models
	globs.covers(glob, input.model.name)
	is_about_path(exception, finding)
}

is_about_path(exception, _) if not exception.paths

is_about_path(exception, finding) if {
	some glob in exception.paths
	globs.matches(glob, finding.path)
}

outdated(finding) := concat("", {text |
	some exception in about(finding)
	text := $` (the exception of {exception.owner} for this ended at {exception.expires}: {exception.reason})`
})
