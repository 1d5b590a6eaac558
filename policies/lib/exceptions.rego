# METADATA
# title: Exceptions
# description: |
#   Findings that do not deny for a while, by the list at data.oms_gate.exceptions. Each has an
#   owner, a reason and a time from which on it is none.
package oms_gate.lib.exceptions

import data.oms_gate.lib.globs

# METADATA
# title: Findings that deny
# description: Those of the findings that no exception covers; where one has ended, they say so.
denying(found) := {finding |
	some candidate in found
	not is_covered(candidate)
	finding := object.union(candidate, {"msg": concat("", [candidate.msg, ended(candidate)])})
}

# METADATA
# title: Findings that are excepted
# description: Those of the findings that an exception covers, with its words. They are warnings.
excepted(found) := {finding |
	some candidate in found
	some exception in in_force
	is_about(exception, candidate)
	msg := $`{candidate.msg} (excepted by {exception.owner} until {exception.expires}: {exception.reason})`
	finding := object.union(candidate, {"msg": msg})
}

# METADATA
# title: A file is excepted
# description: Whether an exception covers findings of this code on the file.
covers(code, path) if is_covered({"code": code, "path": path})

is_covered(finding) if {
	some exception in in_force
	is_about(exception, finding)
}

in_force contains exception if {
	some exception in for_model
	input.now < exception.expires_at
}

for_model contains exception if {
	some exception in data.oms_gate.exceptions
	some wildcard in exception.models
	globs.covers(wildcard, input.model.name)
}

is_about(exception, finding) if {
	finding.code in exception.codes
	is_about_path(exception, finding)
}

is_about_path(exception, _) if not exception.paths

# What has no path is about the model, which no path covers.
is_about_path(exception, finding) if {
	some wildcard in exception.paths
	globs.matches(wildcard, finding.path)
}

ended(finding) := concat("", sort({text |
	some exception in for_model
	is_about(exception, finding)
	text := $` (the exception of {exception.owner} for this ended at {exception.expires}: {exception.reason})`
}))
