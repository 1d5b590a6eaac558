package oms_gate.examples.granite_nvidia_test

import data.oms_gate.examples.model_test

granite(identity) := model_test.sigstore(
	"public-good",
	"https://sigstore.verify.ibm.com/oauth2",
	identity,
	{},
)

nvidia(subject) := model_test.certificate("nvidia", concat("", [subject, ",O=NVIDIA Corporation,C=US"]))

logged := {"signature": {"log_index": 7, "times": [1]}}

test_granite if {
	every identity in ["Granite-sign@ibm.com", "Granite-verify@ibm.com"] {
		model_test.denials("hf://ibm-granite/granite-4.1-3b", granite(identity), logged) == set()
	}
}

test_another_identity_of_ibm if {
	other := granite("someone@ibm.com")
	model_test.denials("hf://ibm-granite/granite-4.1-3b", other, logged) == {"publisher.wrong-signer"}
}

test_a_copy_under_another_namespace if {
	model_test.denials("hf://unsloth/granite-4.1-3b", granite("Granite-sign@ibm.com"), logged) == {"publisher.unknown"}
}

test_the_log_and_safe_formats_are_wanted_of_granite if {
	signer := granite("Granite-sign@ibm.com")
	model_test.denials("hf://ibm-granite/x", signer, {}) == {"requirement.log"}
	code := {"coverage": {"signed": 3, "signed_files": {"code": ["parser.py"]}}}
	model_test.denials("hf://ibm-granite/x", signer, object.union(logged, code)) == set()
	pickle := {"coverage": {"signed": 3, "signed_files": {"pickle": ["a.bin"]}}}
	model_test.denials("hf://ibm-granite/x", signer, object.union(logged, pickle)) == {"requirement.format"}
}

test_skills if {
	skill := "file:///srv/skills/nvidia/aiq-deploy"
	code := {"coverage": {"signed": 3, "signed_files": {"code": ["run.py"]}}}
	model_test.denials(skill, nvidia("CN=NVIDIA Agent Skills Signing 001"), code) == set()
	model_test.denials(skill, nvidia("CN=NVIDIA Agent Capabilities ICA 01"), {}) == {"publisher.wrong-signer"}
}

test_neither_signs_for_the_other if {
	subject := nvidia("CN=NVIDIA Agent Skills Signing 001")
	model_test.denials("hf://ibm-granite/x", subject, logged) == {"publisher.wrong-signer"}
}
