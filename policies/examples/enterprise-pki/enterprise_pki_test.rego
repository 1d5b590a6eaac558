package oms_gate.examples.enterprise_pki_test

import data.oms_gate.examples.model_test

release := model_test.certificate("acme-root", "CN=Ann,OU=Model Release,O=Acme Corporation,C=US")

research := model_test.certificate("acme-root", "CN=Bob,OU=Data Science,O=Acme Corporation,C=US")

timed := {"signature": {"times": [model_test.document.now - 86400]}}

pickle(path) := {"coverage": {"signed": 3, "signed_files": {"pickle": [path]}}}

admitted_to(namespace) := object.union(
	timed,
	{"context": {"operation": "admit", "namespace": namespace}},
)

test_the_release_department if {
	model_test.denials("s3://acme-models/production/x", release, timed) == set()
	model_test.denials("s3://acme-models/production/x", release, {}) == {"requirement.time"}
	model_test.denials("s3://acme-models/production/x", research, timed) == {"publisher.wrong-signer"}
}

test_a_name_is_no_department if {
	disguised := model_test.certificate("acme-root", "CN=Eve\\,OU=Model Release,OU=Guests,O=Acme Corporation,C=US")
	model_test.denials("s3://acme-models/production/x", disguised, timed) == {"publisher.wrong-signer"}
}

test_research_may_use_pickles if {
	model_test.denials("s3://acme-models/research/x", research, pickle("a.pt")) == set()
	production := object.union(timed, pickle("a.pt"))
	model_test.denials("s3://acme-models/production/x", release, production) == {"requirement.format"}
}

test_production_wants_a_certificate_that_still_counts if {
	expired := object.union(release, {"expired_at": "2026-08-01T00:00:00Z"})
	model_test.denials("s3://acme-models/production/x", expired, admitted_to("dev")) == set()
	model_test.denials("s3://acme-models/production/x", expired, admitted_to("prod-eu")) == {"publisher.expired-signer"}
}

test_the_exception_is_for_one_file_until_a_day if {
	name := "s3://acme-models/production/fraud-2023"
	excepted := object.union(timed, pickle("model.pkl"))
	model_test.denials(name, release, excepted) == set()
	model_test.warnings(name, release, excepted) == {"requirement.format"}
	model_test.denials(name, release, object.union(timed, pickle("more.pkl"))) == {"requirement.format"}
	later := object.union(excepted, {"now": data.oms_gate.exceptions[0].expires_at})
	model_test.denials(name, release, later) == {"requirement.format"}
}
