package oms_gate.lib.document_test

import data.oms_gate.lib.document
import data.oms_gate.lib.samples_test as samples

# A whole document in which nothing is null.
full := samples.changed(samples.model, {
	"/signer/expired_at": "2026-01-02T03:04:05Z",
	"/attestations/0/signer/expired_at": "2026-01-02T03:04:05Z",
	"/history/pinned/0/expired_at": "2026-01-02T03:04:05Z",
	"/history/newer": {
		"revision": "9876",
		"root_digest": "34",
		"signed_at": samples.now - 60,
		"seen_at": samples.now - 50,
	},
	"/coverage/missing": ["lost.bin"],
})

# The places of everything in it, and whether that is a member, not part of a list.
places[path] := value if {
	walk(full, [steps, value])
	count(steps) > 0
	path := concat("/", [step | some raw in steps; step := sprintf("%v", [raw])])
}

is_member(path) if not regex.match(`/\d+\z`, path)

# What somebody else names: claims, predicates, what a caller adds.
is_free(path) if regex.match(`\Acontext/|/(?:claims|predicate|predicate_times|document)/`, path)

may_be_null(path) if {
	regex.match(`(?:\Ahistory|/(?:newer|revision|issuer|subject|expired_at|log_index|size|signed_bytes|first_seen|signed_at))\z`, path)
}

# An extract of a predicate, or of a bill of materials, may be anything.
may_be_anything(path) if regex.match(`/(?:predicate|document)/`, path)

replaced(path, value) := json.patch(full, [{"op": "replace", "path": path, "value": value}])

test_whole_documents_are_valid if {
	document.valid with input as full
	document.valid with input as samples.model
	document.valid with input as object.union(full, {"history": null})
	count(document.faults) == 0 with input as full
}

test_no_member_may_be_missing if {
	wanted := [path | some path, _ in places; is_member(path); not is_free(path)]
	count(wanted) > 80
	every path in wanted {
		not document.valid with input as json.patch(full, [{"op": "remove", "path": path}])
		document.faults == {split(path, "/")[0]} with input as json.patch(full, [{"op": "remove", "path": path}])
	}
}

test_no_member_may_be_of_another_type if {
	others := [null, true, 7, "x", [], ["x"], [7], {}, {"x": "x"}, {"x": 7}]
	every path, value in places {
		every other in others {
			not wrongly_accepted(path, value, other)
		}
	}
}

wrongly_accepted(path, value, other) if {
	type_name(value) != type_name(other)
	not may_be_anything(path)
	not null_where_it_may_be(path, other)
	document.valid with input as replaced(path, other)
}

null_where_it_may_be(path, other) if {
	other == null
	may_be_null(path)
}

test_what_may_be_null_may_be if {
	nullable := [path | some path, _ in places; may_be_null(path)]
	count(nullable) > 10
	every path in nullable {
		document.valid with input as replaced(path, null)
	}
}

test_lists_hold_what_they_should if {
	every path in ["signer/chain", "signer/alternative_names", "coverage/missing", "attestations/0/files"] {
		not document.valid with input as replaced(path, ["x", 7])
		document.valid with input as replaced(path, ["x", "y"])
	}
	every path in ["signature/times", "attestations/0/times"] {
		not document.valid with input as replaced(path, [7, "x"])
		document.valid with input as replaced(path, [7, 8])
		document.valid with input as replaced(path, [])
	}
}

test_objects_hold_what_they_should if {
	not document.valid with input as replaced("signer/claims", {"a": "x", "b": 7})
	not document.valid with input as replaced("attestations/0/predicate_times", {"a": 7, "b": "x"})
	not document.valid with input as replaced("context/namespace_labels", {"a": "x", "b": 7})
	every other in [null, 1, {}, []] {
		not document.valid with input as replaced("coverage/signed_files", {"weights": ["a", other]})
		not document.valid with input as replaced("coverage/missing", ["a", other])
	}
}

test_nothing_unknown_is_accepted if {
	closed := [path |
		some path, value in places
		is_object(value)
		not regex.match(`\Acontext|claims\z|predicate\z|predicate_times\z|document\z`, path)
	]
	count(closed) > 15
	every path in closed {
		not document.valid with input as json.patch(full, [{"op": "add", "path": concat("/", [path, "more"]), "value": 1}])
	}
	not document.valid with input as object.union(full, {"more": 1})
	document.faults == {"more"} with input as object.union(full, {"more": 1})
}

test_the_context_is_free if {
	document.valid with input as replaced("context", {"operation": "load", "anything": [{"else": null}]})
	not document.valid with input as replaced("context", {"anything": 1})
}

test_words_are_those_of_the_schema if {
	every path, words in {
		"signer/method": ["key", "certificate", "sigstore"],
		"signature/format": ["v1.0", "v0.2"],
		"signature/serialization": ["files", "shards"],
		"signature/hash_type": ["sha256", "blake2b", "blake3"],
		"coverage/unsigned/0/kind": document.kinds,
		"coverage/ignored/0/kind": document.kinds,
		"coverage/ignored/0/scope": ["default", "signer", "signature", "cache"],
		"boms/0/format": ["CycloneDX", "SPDX"],
		"assurance": ["signature", "declared", "bytes"],
		"context/operation": ["verify", "load", "pull", "admit", "publish", "proxy"],
	} {
		every word in words {
			document.valid with input as replaced(path, word)
		}
		every word in ["", "new", "SHA256", "bytes\n"] {
			not document.valid with input as replaced(path, word)
		}
	}
	document.kinds == {
		"weights", "pickle", "code", "config", "tokenizer", "archive", "image", "document",
		"signature", "vcs", "cache", "other",
	}
	every kind in document.kinds {
		document.valid with input as samples.changed(full, {"/coverage/signed_files": {kind: ["a", "b"]}})
	}
	not document.valid with input as samples.changed(full, {"/coverage/signed_files": {"new": ["a", "b"]}})
}

test_another_schema_is_not_this_one if {
	every schema in ["oms-gate/input/v2", "oms-gate/input/v10", "oms-gate/input/v1\n", ""] {
		not document.valid with input as replaced("schema", schema)
	}
}

test_the_count_is_that_of_the_files if {
	not document.valid with input as replaced("coverage/signed", 3)
	not document.valid with input as replaced("coverage/signed", 1)
	not document.valid with input as replaced("coverage/signed_files", {})
}

test_what_is_no_object_is_no_document if {
	every other in [null, true, 7, "x", [], [full], {}] {
		not document.valid with input as other
		count(document.faults) == 13 with input as other
	}
	not document.valid
	count(document.faults) == 13
}
