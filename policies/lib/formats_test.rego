package oms_gate.lib.formats_test

import data.oms_gate.lib.exceptions
import data.oms_gate.lib.formats
import data.oms_gate.lib.samples_test as samples

every_format := ["pickle", "archive", "code", "keras", "tensorflow"]

# What is not met, with these signed files, by a signer whose rule allows these formats.
unmet(restricted, files, allowed) := found if {
	document := samples.changed(samples.model, {"/coverage/signed_files": files})
	rule := object.union(samples.rule, {"allow_formats": allowed})
	found := formats.unmet({"name": "Safe", "restricted_formats": restricted}) with input as document
		with data.oms_gate.publishers as [rule]
}

unsafe := {
	"pickle": {"pickle": ["pytorch_model.bin"]},
	"archive": {"archive": ["x.zip"]},
	"code": {"code": ["modeling_x.py"]},
	"keras": {"weights": ["x.safetensors", "x.KERAS"]},
	"tensorflow": {"weights": ["x.safetensors", "saved_model.pb"]},
}

test_each_format_is_known if {
	every format, files in unsafe {
		found := unmet([format], files, [])
		samples.codes(found) == {"requirement.format"}
		samples.says(found, $`({format})`)
		unmet([other | some other in every_format; other != format], files, []) == set()
	}
}

test_a_signer_may_be_allowed_a_format if {
	every format, files in unsafe {
		unmet(every_format, files, [format]) == set()
		samples.codes(unmet(every_format, files, [other | some other in every_format; other != format])) == {"requirement.format"}
	}
}

test_safe_formats_are_no_matter if {
	files := {
		"weights": ["a.safetensors", "pb.gguf", "x.keras.onnx", "h5", "apb"],
		"config": ["x.h5", "x.pb"],
		"tokenizer": ["tokenizer.model"],
	}
	unmet(every_format, files, []) == set()
}

test_every_ending_counts if {
	every path in ["a.keras", "a.h5", "a.hdf5", "d/A.H5"] {
		samples.paths(unmet(["keras"], {"weights": [path]}, [])) == {path}
	}
	every path in ["a.pb", "a.pbtxt", "d/A.PB"] {
		samples.paths(unmet(["tensorflow"], {"weights": [path]}, [])) == {path}
	}
}

test_each_file_is_named_in_order if {
	one := unmet(["code"], {"code": ["b.py"]}, [])
	samples.says(one, "b.py can run code when it is loaded (code)")
	samples.paths(unmet(["code"], {"code": ["b.py", "a.py", "c.py"]}, [])) == {"a.py", "b.py", "c.py"}
	many := unmet(["code"], {"code": [sprintf("%03d.py", [n]) | some n in numbers.range(1, 30)]}, [])
	samples.paths(many) == {sprintf("%03d.py", [n]) | some n in numbers.range(1, 20)}
	samples.says(many, "10 more files: each can run code")
}

# An exception for one file is none for what somebody puts beside it.
test_an_exception_is_about_its_file_alone if {
	exception := {
		"owner": "ann",
		"reason": "rewriting it",
		"expires": "2099-01-01",
		"expires_at": samples.now + 1,
		"models": ["hf://example/model"],
		"codes": ["requirement.format"],
		"paths": ["a.pkl"],
	}
	denied := [samples.paths(denying) |
		some files in [["a.pkl"], ["a.pkl", "b.pkl"]]
		found := unmet(["pickle"], {"pickle": files}, []) with data.oms_gate.exceptions as [exception]
		denying := exceptions.denying(found) with input as samples.model with data.oms_gate.exceptions as [exception]
	]
	denied == [set(), {"b.pkl"}]
}

test_what_is_not_signed_is_no_safer if {
	every list, file in {
		"unsigned": {"path": "x.bin", "size": 1, "kind": "pickle"},
		"ignored": {"path": "x.bin", "size": 1, "kind": "pickle", "scope": "signer"},
	} {
		found := formats.unmet({"name": "Safe", "restricted_formats": every_format}) with data.oms_gate.publishers as samples.publishers
			with input as samples.changed(samples.model, {concat("/", ["/coverage", list]): [file]})
		samples.paths(found) == {"x.bin"}
	}
}

test_what_is_no_part_of_the_model_is_no_matter if {
	every scope, found in {"default": 1, "signer": 1, "signature": 0, "cache": 0} {
		file := {"path": "x.bin", "size": 1, "kind": "pickle", "scope": scope}
		unmet_ := formats.unmet({"name": "Safe", "restricted_formats": every_format}) with data.oms_gate.publishers as samples.publishers
			with input as samples.changed(samples.model, {"/coverage/ignored": [file]})
		count(unmet_) == found
	}
}

test_another_signers_allowance_is_none if {
	rules := [
		samples.rule,
		{
			"name": "Other",
			"models": ["hf://example/*"],
			"signers": [{"method": "key", "key": "other"}],
			"allow_formats": every_format,
		},
	]
	document := samples.changed(samples.model, {"/coverage/signed_files": unsafe.pickle})
	found := formats.unmet({"name": "Safe", "restricted_formats": every_format}) with input as document
		with data.oms_gate.publishers as rules
	samples.codes(found) == {"requirement.format"}
}

test_nothing_is_restricted_without_a_restriction if {
	formats.unmet({"name": "x"}) == set() with input as samples.changed(samples.model, {"/coverage/signed_files": unsafe.pickle})
		with data.oms_gate.publishers as samples.publishers
}

test_weights_that_are_not_signed_are_no_safer if {
	every list, members in {"unsigned": {}, "ignored": {"scope": "signer"}} {
		every format, path in {"keras": "x.H5", "tensorflow": "saved_model.pb"} {
			file := object.union({"path": path, "size": 1, "kind": "weights"}, members)
			document := samples.changed(samples.model, {concat("/", ["/coverage", list]): [file]})
			found := formats.unmet({"name": "Safe", "restricted_formats": [format]}) with data.oms_gate.publishers as samples.publishers
				with data.oms_gate.exceptions as []
				with input as document
			samples.paths(found) == {path}
		}
	}
}
