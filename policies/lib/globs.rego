# METADATA
# title: Globs
# description: |
#   "*" stands for any text within a segment, "**" for any text at all, and every other character
#   for itself.
package oms_gate.lib.globs

# METADATA
# description: Whether a glob is about all of a text.
matches(glob, text) if regex.match(concat("", [`\A(?:`, expression(glob), `)\z`]), text)

# METADATA
# description: Whether a glob is about a model, by its name; that for a folder is for all below it.
covers(glob, name) if {
	startswith(name, split(glob, "*")[0])
	regex.match(concat("", [`\A(?:`, expression(glob), `)(?s:/.*)?\z`]), name)
}

# METADATA
# description: One regular expression for any of the globs, which must not be none.
any_of(globs) := concat("", [`\A(?:`, concat("|", {expression(glob) | some glob in globs}), `)\z`])

# METADATA
# description: The regular expression (RE2) of a glob, without anchors.
expression(glob) := concat("(?s:.*)", [concat("[^/]*", [literal(text) | some text in split(part, "*")]) |
	some part in split(glob, "**")
])

literal(text) := concat("", [`\Q`, replace(text, `\E`, `\E\\E\Q`), `\E`])
