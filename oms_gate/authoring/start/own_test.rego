package oms_gate.admission_test

import data.oms_gate.admission

room := {"largest_bytes": 1000}

model(size) := {
	"model": {"name": "hf://example/model"},
	"coverage": {"signed_bytes": size},
}

codes(document, own) := {finding.code |
	some finding in admission.deny with input as document with data.own as own
}

test_a_model_that_fits if not "own.too-large" in codes(model(1000), room)

test_a_model_that_does_not if "own.too-large" in codes(model(1001), room)

test_a_size_that_the_store_does_not_say if "own.too-large" in codes(model(null), room)

test_data_that_are_missing if "own.too-large" in codes(model(1), {})
