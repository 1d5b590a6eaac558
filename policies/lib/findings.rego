# METADATA
# title: Findings
# description: What a decision says of files, so that it stays readable whatever their number.
package oms_gate.lib.findings

# METADATA
# description: A finding for each of the files, which have a path; twenty by name, the others by their number.
of_files(code, files, problem) := array.concat(
	[{"code": code, "msg": msg, "path": file.path} |
		some file in array.slice(files, 0, 20)
		msg := $`{file.path} {problem}`
	],
	[{"code": code, "msg": msg} |
		more := count(files) - 20
		more > 0
		msg := $`the same goes for {more} more files: each {problem}`
	],
)
