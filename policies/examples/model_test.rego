# METADATA
# title: A model to try policies on
# description: |
#   A whole input document, and what a policy decides on it with some members replaced.
package oms_gate.examples.model_test

import data.oms_gate.admission

document := {
	"schema": "oms-gate/input/v1",
	"model": {
		"url": "hf://example/model@0123456789012345678901234567890123456789",
		"name": "hf://example/model",
		"revision": "0123456789012345678901234567890123456789",
		"scheme": "hf",
	},
	"signer": key("release"),
	"signature": {
		"format": "v1.0",
		"root_digest": "12",
		"serialization": "files",
		"hash_type": "sha256",
		"allow_symlinks": false,
		"sorted": true,
		"times": [],
		"log_index": null,
		"bundle_sha256": "ef",
	},
	"coverage": {
		"signed": 2,
		"signed_bytes": 90000700,
		"signed_files": {"config": ["config.json"], "weights": ["model.safetensors"]},
		"missing": [],
		"unsigned": [],
		"ignored": [],
	},
	"attestations": [],
	"refused_attestations": [],
	"boms": [],
	"refused_boms": [],
	"history": null,
	"assurance": "bytes",
	"now": 1788264000,
	"context": {"operation": "verify"},
}

# METADATA
# description: The holder of a trusted key.
key(name) := signer("key", "sha256:cd", name)

# METADATA
# description: An identity that an OIDC issuer vouches for, and what its certificate claims.
sigstore(root, issuer, identity, claims) := object.union(
	signer("sigstore", identity, root),
	{"issuer": issuer, "claims": claims},
)

# METADATA
# description: The holder of a certificate without an alternative name.
certificate(root, subject) := object.union(
	signer("certificate", subject, root),
	{"subject": subject},
)

signer(method, identity, root) := {
	"method": method,
	"identity": identity,
	"issuer": null,
	"subject": null,
	"alternative_names": [],
	"claims": {},
	"chain": [],
	"expired_at": null,
	"key_sha256": "cd",
	"root": {"name": root, "sha256": "ab"},
}

# METADATA
# description: The codes that deny the model of a name and a signer, with some members replaced.
denials(name, signed_by, changes) := {finding.code | some finding in decision.deny} if {
	decision := decided(name, signed_by, changes)
	is_consistent(decision)
}

is_consistent(decision) if {
	decision.allow
	count(decision.deny) == 0
}

is_consistent(decision) if {
	not decision.allow
	count(decision.deny) > 0
}

# METADATA
# description: The codes that it is warned of.
warnings(name, signed_by, changes) := {finding.code | some finding in decided(name, signed_by, changes).warn}

# METADATA
# description: The whole decision.
decided(name, signed_by, changes) := decision if {
	replaced := {"model": {"name": name}, "signer": signed_by}
	model := object.union_n([document, replaced, changes])
	decision := admission.decision with input as model
}
