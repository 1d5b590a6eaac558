package oms_gate.lib.exceptions_test

import data.oms_gate.lib.exceptions
import data.oms_gate.lib.samples_test as samples

exception := {
	"owner": "ann",
	"reason": "moving",
	"expires": "2026-09-01",
	"expires_at": samples.now + 10,
	"models": ["hf://other/*", "hf://example/*"],
	"codes": ["coverage.unsigned", "requirement.age"],
}

a := {"code": "coverage.unsigned", "msg": "a is bad", "path": "docs/a"}

b := {"code": "coverage.ignored", "msg": "b is bad", "path": "docs/b"}

old := {"code": "requirement.age", "msg": "it is old"}

found := {a, b, old}

denying(change) := result if {
	result := exceptions.denying(found) with input as samples.model
		with data.oms_gate.exceptions as [object.union(exception, change)]
}

excepted(change) := result if {
	result := exceptions.excepted(found) with input as samples.model
		with data.oms_gate.exceptions as [object.union(exception, change)]
}

test_without_exceptions_everything_denies if {
	result := exceptions.denying(found) with input as samples.model with data.oms_gate.exceptions as []
	result == found
	exceptions.excepted(found) == set() with input as samples.model with data.oms_gate.exceptions as []
}

test_an_exception_is_for_its_codes if {
	denying({}) == {b}
	samples.codes(excepted({})) == {"coverage.unsigned", "requirement.age"}
	samples.says(excepted({}), "a is bad (excepted by ann until 2026-09-01: moving)")
	excepted({})[object.union(a, {"msg": "a is bad (excepted by ann until 2026-09-01: moving)"})]
}

test_an_exception_is_for_its_models if {
	every model in ["hf://other/*", "hf://example-evil/*", "hf://example/model/onnx"] {
		denying({"models": [model]}) == found
		excepted({"models": [model]}) == set()
	}
	denying({"models": ["hf://example/model"]}) == {b}
}

test_an_exception_is_for_its_paths if {
	denying({"paths": ["docs/*"]}) == {b, old}
	denying({"paths": ["x", "docs/a"]}) == {b, old}
	denying({"paths": ["docs"]}) == found
	denying({"paths": []}) == found
}

test_an_exception_ends if {
	denying({"expires_at": samples.now + 0.5}) == {b}
	every moment in [samples.now, samples.now - 1] {
		result := denying({"expires_at": moment})
		samples.codes(result) == samples.codes(found)
		samples.says(result, "a is bad (the exception of ann for this ended at 2026-09-01: moving)")
		b in result
		excepted({"expires_at": moment}) == set()
	}
}

test_all_that_ended_are_told if {
	ended := [object.union(exception, {"owner": owner, "expires_at": samples.now}) | some owner in ["ann", "bob"]]
	result := exceptions.denying({old}) with input as samples.model with data.oms_gate.exceptions as ended
	words := [$` (the exception of {owner} for this ended at 2026-09-01: moving)` | some owner in ["ann", "bob"]]
	result == {{"code": "requirement.age", "msg": concat("", ["it is old", words[0], words[1]])}}
}

test_nobody_is_told_of_what_is_in_force if {
	# Of the two, one has ended; the other covers one finding.
	ended := object.union(exception, {"owner": "bob", "expires_at": samples.now - 1})
	lasting := object.union(exception, {"codes": ["coverage.unsigned"]})
	result := exceptions.denying(found) with input as samples.model
		with data.oms_gate.exceptions as [ended, object.union(lasting, {"codes": ["requirement.age"]})]
	samples.codes(result) == {"coverage.unsigned", "coverage.ignored"}
	samples.says(result, "a is bad (the exception of bob for this ended")
	b in result
}

test_an_exception_for_one_code_hides_no_other if {
	every code in ["publisher.unknown", "coverage.unsigned.x", "coverage", "", "COVERAGE.UNSIGNED"] {
		finding := {"code": code, "msg": "no", "path": "docs/a"}
		exceptions.denying({finding}) == {finding} with input as samples.model
			with data.oms_gate.exceptions as [exception]
	}
}

test_files_are_covered_as_findings_are if {
	with_paths := object.union(exception, {"paths": ["docs/*"]})
	exceptions.covers("coverage.unsigned", "docs/a") with input as samples.model
		with data.oms_gate.exceptions as [with_paths]
	not exceptions.covers("coverage.unsigned", "docs/a/b") with input as samples.model
		with data.oms_gate.exceptions as [with_paths]
	not exceptions.covers("coverage.missing", "docs/a") with input as samples.model
		with data.oms_gate.exceptions as [with_paths]
}
