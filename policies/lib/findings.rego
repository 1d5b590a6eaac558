# METADATA
# title: Findings
# description: |
#   What a decision says of files, so that it stays readable whatever their number.
#
#   Engines keep sets in orders of their own. Messages of this library sort them, so that all say the
#   same.
package oms_gate.lib.findings

import data.oms_gate.lib.exceptions

# METADATA
# title: Findings about files
# description: |
#   Twenty by name, the others by their number. Files of which an exception is in force are told
#   apart from the others, so that neither hides the other.
of_files(code, files, problem) := told_apart(code, files, problem) if {
	count(files) > 0
} else := []

told_apart(code, files, problem) := array.concat(
	denied(code, [file | some file in files; not is_excepted(code, file)], problem),
	excepted(code, [file | some file in files; is_excepted(code, file)], problem),
)

is_excepted(code, file) if exceptions.covers(code, file.path)

denied(code, files, problem) := array.concat(named(code, files, problem), numbered(code, files, problem))

# What is said of their number has a path, so that the exception covers it as well.
excepted(code, files, problem) := array.concat(
	named(code, files, problem),
	[object.union(finding, {"path": files[20].path}) | some finding in numbered(code, files, problem)],
)

named(code, files, problem) := [{"code": code, "msg": msg, "path": file.path} |
	some file in array.slice(files, 0, 20)
	msg := $`{file.path} {problem}`
]

numbered(code, files, problem) := [{"code": code, "msg": msg} |
	more := count(files) - 20
	more > 0
	msg := $`the same goes for {more} more files: each {problem}`
]
