# A model that is allowed, for tests, and who may publish it.
package oms_gate.lib.samples_test

sigstore := {
	"method": "sigstore",
	"identity": "release@example.com",
	"issuer": "https://issuer.example",
	"root": "public-good",
}

rule := {"name": "Example", "models": ["hf://example/*"], "signers": [sigstore]}

publishers := [rule]

# Everything that a document can hold, each once.
model := {
	"schema": "oms-gate/input/v1",
	"model": {
		"url": "hf://example/model@0123",
		"name": "hf://example/model",
		"revision": "0123",
		"scheme": "hf",
	},
	"signer": signer,
	"signature": {
		"format": "v1.0",
		"root_digest": "12",
		"serialization": "files",
		"hash_type": "sha256",
		"allow_symlinks": false,
		"sorted": true,
		"times": [now - 3600],
		"log_index": 7,
		"bundle_sha256": "ef",
	},
	"coverage": {
		"signed": 2,
		"signed_bytes": 97,
		"signed_files": {"weights": ["model.safetensors"], "config": ["config.json"]},
		"missing": [],
		"unsigned": [{"path": "README.md", "size": 1, "kind": "document"}],
		"ignored": [{"path": "model.sig", "size": 1, "kind": "signature", "scope": "signature"}],
	},
	"attestations": [{
		"name": "built",
		"path": "build.json",
		"predicate_type": "https://slsa.dev/provenance/v1",
		"predicate": {"builder": "x"},
		"predicate_times": {"/finished": now - 7200},
		"signer": signer,
		"times": [now - 3600],
		"log_index": 8,
		"model": true,
		"files": ["model.safetensors"],
	}],
	"refused_attestations": [{
		"name": "scan",
		"path": "scan.json",
		"code": "attestation.unmet",
		"msg": "no",
	}],
	"boms": [{
		"name": "sbom",
		"path": "model.cdx.json",
		"format": "CycloneDX",
		"spec_version": "1.6",
		"document": {"bomFormat": "CycloneDX"},
	}],
	"refused_boms": [{
		"name": "spdx",
		"path": "model.spdx.json",
		"code": "bom.unsigned",
		"msg": "nobody signed it",
	}],
	"history": {
		"first_seen": now - 86400,
		"pinned": [signer],
		"signer_pinned": true,
		"newer": null,
	},
	"assurance": "bytes",
	"now": now,
	"context": {
		"operation": "verify",
		"namespace": "prod",
		"namespace_labels": {"stage": "prod"},
		"service_account": "server",
	},
}

now := 1788264000

signer := {
	"method": "sigstore",
	"identity": "release@example.com",
	"issuer": "https://issuer.example",
	"subject": "CN=x",
	"alternative_names": ["release@example.com"],
	"claims": {"repository": "example/model"},
	"chain": ["CN=x"],
	"expired_at": null,
	"key_sha256": "cd",
	"root": {"name": "public-good", "sha256": "ab"},
}

certificate(identity, subject) := object.union(signer, {
	"method": "certificate",
	"identity": identity,
	"subject": subject,
	"root": {"name": "ca", "sha256": "ab"},
})

key(name) := object.union(signer, {
	"method": "key",
	"identity": "sha256:cd",
	"root": {"name": name, "sha256": "ab"},
})

# A document (or a rule) with some members set, by their JSON pointers.
changed(whole, members) := json.patch(whole, [{"op": "add", "path": path, "value": value} |
	some path, value in members
])

codes(found) := {finding.code | some finding in found}

paths(found) := {finding.path | some finding in found}

# Whether some finding says this.
says(found, words) if {
	some finding in found
	contains(finding.msg, words)
}
