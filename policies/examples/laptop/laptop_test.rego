package oms_gate.examples.laptop_test

import data.oms_gate.examples.model_test

granite := model_test.sigstore(
	"public-good",
	"https://sigstore.verify.ibm.com/oauth2",
	"Granite-sign@ibm.com",
	{},
)

someone := model_test.sigstore("public-good", "https://accounts.google.com", "someone@example.com", {})

unknown := {"history": {"first_seen": null, "pinned": [], "signer_pinned": false, "newer": null}}

known(signers, is_one) := {"history": {
	"first_seen": 1,
	"pinned": signers,
	"signer_pinned": is_one,
	"newer": null,
}}

test_a_known_publisher if {
	model_test.denials("hf://ibm-granite/granite", granite, unknown) == set()
}

test_nobody_comes_first_where_the_publisher_is_known if {
	model_test.denials("hf://ibm-granite/granite", someone, unknown) == {"publisher.wrong-signer"}
	decision := model_test.decided("hf://ibm-granite/granite", someone, unknown)
	some finding in decision.deny
	contains(finding.msg, "(IBM Granite) names only anyone")
	not contains(finding.msg, "first")
}

test_whoever_comes_first if {
	model_test.denials("hf://someone/model", someone, unknown) == set()
	model_test.denials("hf://someone/model", someone, known([someone], true)) == set()
	model_test.denials("hf://someone/model", granite, known([someone], false)) == {"history.signer-changed"}
	model_test.denials("s3://someone/model", someone, unknown) == {"publisher.unknown"}
}

test_without_a_memory_nobody_is_first if {
	model_test.denials("hf://someone/model", someone, {}) == {"publisher.wrong-signer"}
}

test_formats_are_warned_of if {
	pickle := object.union(unknown, {"coverage": {"signed": 3, "signed_files": {"pickle": ["a.pkl"]}}})
	model_test.denials("hf://someone/model", someone, pickle) == set()
	model_test.warnings("hf://someone/model", someone, pickle) == {"requirement.format"}
}
