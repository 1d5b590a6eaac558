# METADATA
# title: The rules
# description: |
#   Whether the data are whole: a list of rules that is missing, or a member that is misspelt or
#   mistyped, would require nothing. `oms-gate config data` makes whole ones of a gate.yaml; these
#   checks are for data that are written by hand, on an OPA server.
package oms_gate.lib.rules

import data.oms_gate.lib.document

default valid := false

# METADATA
# title: The rules are whole
# description: Publishers, requirements and exceptions are there, and as they should be.
# scope: document
valid if {
	is_array(data.oms_gate.publishers)
	is_array(data.oms_gate.requirements)
	is_array(data.oms_gate.exceptions)
	every rule in data.oms_gate.publishers {
		is_publisher(rule)
	}
	every rule in data.oms_gate.requirements {
		is_requirement(rule)
	}
	every rule in data.oms_gate.exceptions {
		is_exception(rule)
	}
}

# METADATA
# title: What is wrong with the rules
# description: Which lists, which rules by their place and name, and which of their members.
# scope: document
faults contains "publishers (which is no list)" if not is_list("publishers")

faults contains "requirements (which is no list)" if not is_list("requirements")

faults contains "exceptions (which is no list)" if not is_list("exceptions")

faults contains place if {
	some number, rule in data.oms_gate.publishers
	not is_publisher(rule)
	members := concat(", ", sort({member |
		is_object(rule)
		some member, value in rule
		not is_publisher_member(member, value)
	}))
	place := $`publishers[{number}]{called(rule, "name")}{wrong(members, "name, models and signers")}`
}

faults contains place if {
	some number, rule in data.oms_gate.requirements
	not is_requirement(rule)
	members := concat(", ", sort({member |
		is_object(rule)
		some member, value in rule
		not is_requirement_member(member, value)
	}))
	place := $`requirements[{number}]{called(rule, "name")}{wrong(members, "a name and something to require")}`
}

faults contains place if {
	some number, rule in data.oms_gate.exceptions
	not is_exception(rule)
	members := concat(", ", sort({member |
		is_object(rule)
		some member, value in rule
		not is_exception_member(member, value)
	}))
	place := $`exceptions[{number}]{called(rule, "reason")}{wrong(members, "reason, owner, expires, expires_at, models and codes")}`
}

is_list("publishers") if is_array(data.oms_gate.publishers)

is_list("requirements") if is_array(data.oms_gate.requirements)

is_list("exceptions") if is_array(data.oms_gate.exceptions)

default called(_, _) := ""

called(rule, member) := $` "{rule[member]}"` if is_text(rule[member])

wrong("", needed) := $`, which must have {needed}`

wrong(members, _) := $`, of which this is unknown or not as it should be: {members}` if members != ""

is_publisher(rule) if {
	is_object(rule)
	rule.name
	rule.models
	rule.signers
	every member, value in rule {
		is_publisher_member(member, value)
	}
}

is_publisher_member("name", value) if is_text(value)

is_publisher_member("models", value) if are_model_globs(value)

is_publisher_member("signers", value) if {
	is_filled(value)
	every signer in value {
		is_signer(signer)
	}
}

is_publisher_member("allow_unsigned", value) if are_path_globs(value)

is_publisher_member("allow_ignored", value) if are_path_globs(value)

is_publisher_member("allow_formats", value) if are_of(value, formats)

is_publisher_member("assurance", "signature")

is_publisher_member("assurance", "declared")

is_publisher_member("assurance", "bytes")

is_signer(signer) if is_known_signer(signer)

is_signer(signer) if signer == {"method": "first-use"}

is_known_signer(signer) if {
	signer.method == "sigstore"
	object.keys(signer) in {
		{"method", "identity", "issuer", "root"},
		{"method", "identity_pattern", "issuer", "root"},
	}
	every text in signer {
		is_text(text)
	}
}

is_known_signer(signer) if {
	signer.method == "certificate"
	(object.keys(signer) - {"allow_expired"}) in {
		{"method", "identity", "root"},
		{"method", "identity_pattern", "root"},
		{"method", "any_identity", "root"},
	}
	object.get(signer, "any_identity", true) == true
	is_boolean(object.get(signer, "allow_expired", false))
	every text in object.remove(signer, ["any_identity", "allow_expired"]) {
		is_text(text)
	}
}

is_known_signer(signer) if {
	signer.method == "key"
	object.keys(signer) == {"method", "key"}
	is_text(signer.key)
}

is_requirement(rule) if {
	is_object(rule)
	rule.name
	count(object.keys(rule) - {"name", "where", "effect"}) > 0
	every member, value in rule {
		is_requirement_member(member, value)
	}
}

is_requirement_member("name", value) if is_text(value)

is_requirement_member("where", value) if {
	is_object(value)
	every member, wanted in value {
		is_place_member(member, wanted)
	}
}

is_requirement_member("effect", "deny")

is_requirement_member("effect", "warn")

is_requirement_member("assurance", "declared")

is_requirement_member("assurance", "bytes")

is_requirement_member("hash_types", value) if {
	is_filled(value)
	are_of(value, {"sha256", "blake2b", "blake3"})
}

is_requirement_member("proven_time", true)

is_requirement_member("transparency_log", true)

is_requirement_member("max_age_days", value) if is_duration(value)

is_requirement_member("unexpired", true)

is_requirement_member("restricted_formats", value) if {
	is_filled(value)
	are_of(value, formats)
}

is_requirement_member("signed_kinds", value) if {
	is_filled(value)
	are_of(value, document.kinds)
}

is_requirement_member("ignored_kinds", value) if are_of(value, document.kinds)

is_requirement_member("claims", value) if {
	is_object(value)
	count(value) > 0
	every claim, wildcards in value {
		is_text(claim)
		are_texts(wildcards)
	}
}

is_requirement_member("same_signer", true)

is_requirement_member("attestations", value) if {
	is_filled(value)
	every wanted in value {
		is_wanted_attestation(wanted)
	}
}

is_requirement_member("boms", value) if are_texts(value)

is_place_member("models", value) if are_model_globs(value)

is_place_member("operations", value) if {
	is_filled(value)
	are_of(value, document.operations)
}

is_place_member("namespaces", value) if are_texts(value)

is_place_member("namespace_labels", value) if {
	is_object(value)
	count(value) > 0
	every name, label in value {
		is_text(name)
		is_string(label)
	}
}

is_place_member("service_accounts", value) if are_texts(value)

is_wanted_attestation(wanted) if {
	is_object(wanted)
	wanted.predicate_type
	wanted.signers
	every member, value in wanted {
		is_wanted_member(member, value)
	}
}

is_wanted_member("predicate_type", value) if is_text(value)

is_wanted_member("signers", value) if {
	is_filled(value)
	every signer in value {
		is_known_signer(signer)
	}
}

is_wanted_member("builders", value) if are_texts(value)

is_wanted_member("sources", value) if are_texts(value)

is_wanted_member("max_age_days", value) if is_duration(value)

is_wanted_member("no_findings", value) if {
	is_filled(value)
	are_of(value, {"critical", "high", "medium", "low"})
}

is_exception(rule) if {
	is_object(rule)
	rule.reason
	rule.owner
	rule.expires
	rule.expires_at
	rule.models
	rule.codes
	every member, value in rule {
		is_exception_member(member, value)
	}
}

is_exception_member("reason", value) if is_text(value)

is_exception_member("owner", value) if is_text(value)

is_exception_member("expires", value) if is_text(value)

is_exception_member("expires_at", value) if is_number(value)

is_exception_member("models", value) if are_model_globs(value)

# Who may sign a model is no matter of exceptions.
is_exception_member("codes", value) if {
	is_filled(value)
	are_of(value, {
		"coverage.missing", "coverage.unsigned", "coverage.ignored", "publisher.expired-signer",
		"history.rollback", "requirement.time", "requirement.log", "requirement.age",
		"requirement.hash-type", "requirement.format", "requirement.claims", "attestation.missing",
		"attestation.unmet", "bom.missing",
	})
}

is_exception_member("paths", value) if {
	is_filled(value)
	are_path_globs(value)
}

formats := {"pickle", "archive", "code", "keras", "tensorflow"}

is_text(value) if {
	is_string(value)
	value != ""
}

is_filled(values) if {
	is_array(values)
	count(values) > 0
}

are_texts(values) if {
	is_filled(values)
	every value in values {
		is_text(value)
	}
}

are_of(values, known) if {
	is_array(values)
	every value in values {
		value in known
	}
}

is_duration(value) if {
	is_number(value)
	value > 0
}

# A glob that can match no model would let a requirement apply to none: it must be a URL, without
# other wildcards, empty parts, or a revision. (No regular expressions here: one is dear to compile.)
are_model_globs(values) if {
	are_texts(values)
	every value in values {
		[scheme, rest] := split(value, "://")
		scheme != ""
		can_match(trim_prefix(rest, file_root(scheme)))
		not is_revision(scheme, rest)
	}
}

default file_root(_) := ""

file_root("file") := "/"

is_revision("hf", rest) if contains(rest, "@")

are_path_globs(values) if {
	is_array(values)
	every value in values {
		is_string(value)
		can_match(value)
	}
}

can_match(wildcard) if {
	every part in split(wildcard, "/") {
		not part in {"", ".", ".."}
	}
	every character in ["?", "[", "]", "{", "}", `\`] {
		not contains(wildcard, character)
	}
}
