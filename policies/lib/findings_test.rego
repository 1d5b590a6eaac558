package oms_gate.lib.findings_test

import data.oms_gate.lib.exceptions
import data.oms_gate.lib.findings
import data.oms_gate.lib.samples_test as samples

files(count_) := [{"path": sprintf("%s/%03d", [folder, n])} |
	some n in numbers.range(1, count_)
	folder := {true: "odd", false: "even"}[(n % 2) == 1]
]

exception := {
	"owner": "ann",
	"reason": "moving",
	"expires": "2099-01-01",
	"expires_at": samples.now + 1,
	"models": ["hf://example/*"],
	"codes": ["coverage.unsigned"],
	"paths": ["odd/*"],
}

test_each_file_is_named if {
	findings.of_files("c", [{"path": "a"}, {"path": "b"}], "is bad") == [
		{"code": "c", "msg": "a is bad", "path": "a"},
		{"code": "c", "msg": "b is bad", "path": "b"},
	]
	findings.of_files("c", [], "is bad") == []
}

test_twenty_are_named_and_the_others_counted if {
	count(findings.of_files("c", files(20), "is bad")) == 20
	count(findings.of_files("c", files(21), "is bad")) == 21
	found := findings.of_files("c", files(22), "is bad")
	count(found) == 21
	found[19].path == "even/020"
	found[20] == {"code": "c", "msg": "the same goes for 2 more files: each is bad"}
}

test_excepted_files_hide_no_others_and_are_not_lost if {
	found := findings.of_files("coverage.unsigned", files(100), "is bad") with input as samples.model
		with data.oms_gate.exceptions as [exception]
	count(found) == 42
	set := {finding | some finding in found}
	denying := exceptions.denying(set) with input as samples.model with data.oms_gate.exceptions as [exception]
	count(denying) == 21
	every finding in denying {
		not startswith(object.get(finding, "path", ""), "odd/")
	}
	samples.says(denying, "30 more files")
	excepted := exceptions.excepted(set) with input as samples.model with data.oms_gate.exceptions as [exception]
	count(excepted) == 21
	every finding in excepted {
		startswith(finding.path, "odd/")
		contains(finding.msg, "excepted by ann")
	}
	samples.says(excepted, "30 more files")
}
