package oms_gate.examples.air_gapped_test

import data.oms_gate.examples.model_test

release(root) := model_test.sigstore(
	root,
	"https://oidc.corp.example/realms/models",
	"model-release@corp.example",
	{},
)

importer := model_test.sigstore(
	"internal",
	"https://oidc.corp.example/realms/import",
	"ann.lee@import.corp.example",
	{},
)

logged(days) := {"signature": {"log_index": 7, "times": [model_test.document.now - (days * 86400)]}}

test_a_release if {
	model_test.denials("s3://models/released/x", release("internal"), logged(900)) == set()
}

test_the_public_instance_is_another if {
	model_test.denials("s3://models/released/x", release("public-good"), logged(1)) == {"publisher.wrong-signer"}
}

test_log_and_time_are_wanted if {
	model_test.denials("s3://models/released/x", release("internal"), {}) == {"requirement.log", "requirement.time"}
}

test_imports_are_looked_at_anew if {
	model_test.denials("s3://models/imported/x", importer, logged(183)) == set()
	model_test.denials("s3://models/imported/x", importer, logged(184)) == {"requirement.age"}
	model_test.denials("s3://models/released/x", importer, logged(1)) == {"publisher.wrong-signer"}
}
