# METADATA
# title: Globs
# description: |
#   "*" stands for any text within a segment, "**" for any text at all, and every other character
#   for itself.
package oms_gate.lib.globs

# METADATA
# title: A glob is about a text
# description: It matches all of the text, from its first character to its last.
matches(wildcard, text) if regex.match(concat("", [`\A(?:`, expression(wildcard), `)\z`]), text)

# METADATA
# title: A glob is about a model
# description: It matches the model's name. What matches a folder is about everything below it.
# scope: document
covers(wildcard, name) if {
	# Regular expressions are dear to compile, and most globs are of this form.
	prefix := trim_right(wildcard, "*")
	prefix != wildcard
	startswith(name, prefix)
}

covers(wildcard, name) if {
	contains(trim_right(wildcard, "*"), "*")
	startswith(name, split(wildcard, "*")[0])
	regex.match(concat("", [`\A(?:`, expression(wildcard), `)(?s:/.*)?\z`]), name)
}

covers(wildcard, name) if wildcard == name

covers(wildcard, name) if startswith(name, concat("", [wildcard, "/"]))

# METADATA
# title: One expression for several globs
# description: The regular expression (RE2) that matches what any of them matches; they must not be none.
any_of(wildcards) := concat("", [`\A(?:`, concat("|", {expression(wildcard) | some wildcard in wildcards}), `)\z`])

expression(wildcard) := concat("(?s:.*)", [concat("[^/]*", [literal(text) | some text in split(part, "*")]) |
	some part in split(wildcard, "**")
])

literal(text) := concat("", [`\Q`, replace(text, `\E`, `\E\\E\Q`), `\E`])
