# METADATA
# title: The input document
# description: |
#   Whether the input is whole: every member is there, none is unknown, and each is of its type. A
#   member that is missing leaves an expression undefined, under "not" as well, and a rule of `deny`
#   with it: that would deny nothing. So nothing is allowed on anything but a whole document of the
#   schema oms-gate/input/v1.
#
#   Types come before what needs them, as a server may take an error in a builtin for a failure of
#   the policy.
package oms_gate.lib.document

default valid := false

# METADATA
# title: The input is whole
# description: It has the members of the schema, all of them and no other, each of its type.
# scope: document
valid if {
	is_object(input)
	object.keys(input) == members
	every member in members {
		is_whole(member)
	}
}

# METADATA
# title: What is wrong with the input
# description: The members that are missing, mistyped or unknown, by their names.
# scope: document
faults contains member if {
	some member in members
	not is_whole(member)
}

faults contains member if {
	is_object(input)
	some member in (object.keys(input) - members)
}

# METADATA
# title: Operations
# description: What a model can be wanted for.
operations := {"verify", "load", "pull", "admit", "publish", "proxy"}

# METADATA
# title: Kinds
# description: What a file can be to a loader.
kinds := {
	"weights", "pickle", "code", "config", "tokenizer", "archive", "image", "document", "signature",
	"vcs", "cache", "other",
}

members := {
	"schema", "model", "signer", "signature", "coverage", "attestations", "refused_attestations",
	"boms", "refused_boms", "history", "assurance", "now", "context",
}

is_whole("schema") if input.schema == "oms-gate/input/v1"

is_whole("model") if {
	model := input.model
	has_exactly(model, {"url", "name", "revision", "scheme"})
	is_string(model.url)
	is_string(model.name)
	is_optional_string(model.revision)
	is_string(model.scheme)
}

is_whole("signer") if is_signer(input.signer)

is_whole("signature") if {
	signature := input.signature
	has_exactly(signature, {
		"format", "root_digest", "serialization", "hash_type", "allow_symlinks", "sorted", "times",
		"log_index", "bundle_sha256",
	})
	signature.format in {"v1.0", "v0.2"}
	is_string(signature.root_digest)
	signature.serialization in {"files", "shards"}
	signature.hash_type in {"sha256", "blake2b", "blake3"}
	is_boolean(signature.allow_symlinks)
	is_boolean(signature.sorted)
	is_list_of_numbers(signature.times)
	is_optional_number(signature.log_index)
	is_string(signature.bundle_sha256)
}

is_whole("coverage") if {
	coverage := input.coverage
	has_exactly(coverage, {"signed", "signed_bytes", "signed_files", "missing", "unsigned", "ignored"})
	is_optional_number(coverage.signed_bytes)
	is_list_of_strings(coverage.missing)
	is_array(coverage.unsigned)
	is_array(coverage.ignored)
	is_object(coverage.signed_files)
	every kind, files in coverage.signed_files {
		kind in kinds
		is_list_of_strings(files)
	}
	coverage.signed == sum([count(files) | some files in coverage.signed_files])
	every file in coverage.unsigned {
		has_exactly(file, {"path", "size", "kind"})
		is_file(file)
	}
	every file in coverage.ignored {
		has_exactly(file, {"path", "size", "kind", "scope"})
		is_file(file)
		file.scope in {"default", "signer", "signature", "cache"}
	}
}

is_whole("attestations") if {
	is_array(input.attestations)
	every attestation in input.attestations {
		is_attestation(attestation)
	}
}

is_whole("refused_attestations") if are_refusals(input.refused_attestations)

is_whole("boms") if {
	is_array(input.boms)
	every bom in input.boms {
		has_exactly(bom, {"name", "path", "format", "spec_version", "document"})
		is_string(bom.name)
		is_string(bom.path)
		bom.format in {"CycloneDX", "SPDX"}
		is_string(bom.spec_version)
		is_object(bom.document)
	}
}

is_whole("refused_boms") if are_refusals(input.refused_boms)

is_whole("history") if is_null(input.history)

is_whole("history") if {
	history := input.history
	has_exactly(history, {"first_seen", "pinned", "signer_pinned", "newer"})
	is_optional_number(history.first_seen)
	is_boolean(history.signer_pinned)
	is_optional_release(history.newer)
	is_array(history.pinned)
	every signer in history.pinned {
		is_signer(signer)
	}
}

is_whole("assurance") if input.assurance in {"signature", "declared", "bytes"}

is_whole("now") if is_number(input.now)

# A caller may add what it likes. What requirements look at is of its type.
is_whole("context") if {
	is_object(input.context)
	input.context.operation in operations
	is_string(object.get(input.context, "namespace", ""))
	is_string(object.get(input.context, "service_account", ""))
	labels := object.get(input.context, "namespace_labels", {})
	is_object(labels)
	are_strings(labels)
}

has_exactly(object_, names) if {
	is_object(object_)
	object.keys(object_) == names
}

is_signer(signer) if {
	has_exactly(signer, {
		"method", "identity", "issuer", "subject", "alternative_names", "claims", "chain",
		"expired_at", "key_sha256", "root",
	})
	signer.method in {"key", "certificate", "sigstore"}
	is_string(signer.identity)
	is_optional_string(signer.issuer)
	is_optional_string(signer.subject)
	is_list_of_strings(signer.alternative_names)
	is_object(signer.claims)
	are_strings(signer.claims)
	is_list_of_strings(signer.chain)
	is_optional_string(signer.expired_at)
	is_string(signer.key_sha256)
	has_exactly(signer.root, {"name", "sha256"})
	are_strings(signer.root)
}

is_file(file) if {
	is_string(file.path)
	is_optional_number(file.size)
	file.kind in kinds
}

is_attestation(attestation) if {
	has_exactly(attestation, {
		"name", "path", "predicate_type", "predicate", "predicate_times", "signer", "times",
		"log_index", "model", "files",
	})
	is_string(attestation.name)
	is_string(attestation.path)
	is_string(attestation.predicate_type)
	is_object(attestation.predicate)
	is_object(attestation.predicate_times)
	are_numbers(attestation.predicate_times)
	is_signer(attestation.signer)
	is_list_of_numbers(attestation.times)
	is_optional_number(attestation.log_index)
	is_boolean(attestation.model)
	is_list_of_strings(attestation.files)
}

are_refusals(list) if {
	is_array(list)
	every refused in list {
		has_exactly(refused, {"name", "path", "code", "msg"})
		are_strings(refused)
	}
}

is_optional_release(release) if is_null(release)

is_optional_release(release) if {
	has_exactly(release, {"revision", "root_digest", "signed_at", "seen_at"})
	is_optional_string(release.revision)
	is_string(release.root_digest)
	is_optional_number(release.signed_at)
	is_number(release.seen_at)
}

is_optional_string(value) if is_string(value)

is_optional_string(value) if is_null(value)

is_optional_number(value) if is_number(value)

is_optional_number(value) if is_null(value)

is_list_of_strings(values) if {
	is_array(values)
	count(values) == 0
}

# There may be very many. Types have an order, and between strings there are only strings.
is_list_of_strings(values) if {
	is_array(values)
	is_string(min(values))
	is_string(max(values))
}

is_list_of_numbers(values) if {
	is_array(values)
	are_numbers(values)
}

are_strings(values) if {
	every value in values {
		is_string(value)
	}
}

are_numbers(values) if {
	every value in values {
		is_number(value)
	}
}
