# METADATA
# title: The input document
# description: |
#   Whether the input is whole: every member is there, and of its type. A member that is missing
#   would leave a rule of `deny` undefined, and that denies nothing. So nothing is allowed on
#   anything but a whole document of the schema oms-gate/input/v1.
package oms_gate.lib.document

default valid := false

# METADATA
# description: Whether the input is a whole document.
valid if {
	input.schema == "oms-gate/input/v1"
	object.keys(input) == {
		"schema", "model", "signer", "signature", "coverage", "attestations",
		"refused_attestations", "history", "assurance", "now", "context",
	}
	is_model(input.model)
	is_signer(input.signer)
	is_signature(input.signature)
	is_coverage(input.coverage)
	is_array(input.attestations)
	every attestation in input.attestations {
		is_attestation(attestation)
	}
	is_array(input.refused_attestations)
	every refused in input.refused_attestations {
		object.keys(refused) == {"name", "path", "code", "msg"}
		are_strings(refused)
	}
	is_history(input.history)
	input.assurance in {"signature", "declared", "bytes"}
	is_number(input.now)
	input.context.operation in operations
}

# METADATA
# description: What a model can be wanted for.
operations := {"verify", "load", "pull", "admit", "publish", "proxy"}

# METADATA
# description: The kinds of files.
kinds := {
	"weights", "pickle", "code", "config", "tokenizer", "archive", "image", "document", "signature",
	"vcs", "cache", "other",
}

is_model(model) if {
	object.keys(model) == {"url", "name", "revision", "scheme"}
	is_string(model.url)
	is_string(model.name)
	is_optional_string(model.revision)
	is_string(model.scheme)
}

is_signer(signer) if {
	object.keys(signer) == {
		"method", "identity", "issuer", "subject", "alternative_names", "claims", "chain",
		"expired_at", "key_sha256", "root",
	}
	signer.method in {"key", "certificate", "sigstore"}
	is_string(signer.identity)
	is_optional_string(signer.issuer)
	is_optional_string(signer.subject)
	is_array(signer.alternative_names)
	are_strings(signer.alternative_names)
	is_object(signer.claims)
	are_strings(signer.claims)
	is_array(signer.chain)
	are_strings(signer.chain)
	is_optional_string(signer.expired_at)
	is_string(signer.key_sha256)
	object.keys(signer.root) == {"name", "sha256"}
	are_strings(signer.root)
}

is_signature(signature) if {
	object.keys(signature) == {
		"format", "root_digest", "serialization", "hash_type", "allow_symlinks", "sorted", "times",
		"log_index", "bundle_sha256",
	}
	signature.format in {"v1.0", "v0.2"}
	is_string(signature.root_digest)
	signature.serialization in {"files", "shards"}
	signature.hash_type in {"sha256", "blake2b", "blake3"}
	is_boolean(signature.allow_symlinks)
	is_boolean(signature.sorted)
	is_array(signature.times)
	are_numbers(signature.times)
	is_optional_number(signature.log_index)
	is_string(signature.bundle_sha256)
}

is_coverage(coverage) if {
	object.keys(coverage) == {"signed", "signed_files", "missing", "unsigned", "ignored"}
	coverage.signed == sum([count(files) | some files in coverage.signed_files])
	is_object(coverage.signed_files)
	every kind, files in coverage.signed_files {
		kind in kinds
		is_object(files)
		every size in files {
			is_optional_number(size)
		}
	}
	is_array(coverage.missing)
	are_strings(coverage.missing)
	is_array(coverage.unsigned)
	every file in coverage.unsigned {
		object.keys(file) == {"path", "size", "kind"}
		is_file(file)
	}
	is_array(coverage.ignored)
	every file in coverage.ignored {
		object.keys(file) == {"path", "size", "kind", "scope"}
		is_file(file)
		file.scope in {"default", "signer", "signature", "cache"}
	}
}

is_file(file) if {
	is_string(file.path)
	is_optional_number(file.size)
	file.kind in kinds
}

is_attestation(attestation) if {
	object.keys(attestation) == {
		"name", "path", "predicate_type", "predicate", "predicate_times", "signer", "times",
		"log_index", "model", "files",
	}
	is_string(attestation.name)
	is_string(attestation.path)
	is_string(attestation.predicate_type)
	is_object(attestation.predicate)
	is_object(attestation.predicate_times)
	are_numbers(attestation.predicate_times)
	is_signer(attestation.signer)
	is_array(attestation.times)
	are_numbers(attestation.times)
	is_optional_number(attestation.log_index)
	is_boolean(attestation.model)
	is_array(attestation.files)
	are_strings(attestation.files)
}

is_history(history) if is_null(history)

is_history(history) if {
	object.keys(history) == {"first_seen", "pinned", "signer_pinned", "newer"}
	is_optional_number(history.first_seen)
	is_array(history.pinned)
	every signer in history.pinned {
		is_signer(signer)
	}
	is_boolean(history.signer_pinned)
	is_release(history.newer)
}

is_release(release) if is_null(release)

is_release(release) if {
	object.keys(release) == {"revision", "root_digest", "signed_at", "seen_at"}
	is_optional_string(release.revision)
	is_string(release.root_digest)
	is_optional_number(release.signed_at)
	is_number(release.seen_at)
}

is_optional_string(value) if type_name(value) in {"string", "null"}

is_optional_number(value) if type_name(value) in {"number", "null"}

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
