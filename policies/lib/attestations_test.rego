package oms_gate.lib.attestations_test

import data.oms_gate.lib.attestations

now := 1788264000

day := 86400

key(name) := {"method": "key", "root": {"name": name}, "expired_at": null}

ci := {"method": "key", "key": "ci"}

build := {
	"name": "provenance",
	"path": "a.intoto.jsonl",
	"predicate_type": "https://slsa.dev/provenance/v1",
	"predicate": {
		"buildDefinition": {"resolvedDependencies": [{"uri": "git+https://git.example/acme@main"}]},
		"runDetails": {"builder": {"id": "https://ci.example"}},
	},
	"predicate_times": {},
	"signer": key("ci"),
	"times": [now - day],
	"log_index": null,
	"model": true,
	"files": [],
}

report := {
	"name": "scan",
	"path": "scan.sigstore.json",
	"predicate_type": "https://in-toto.io/attestation/vulns/v0.2",
	"predicate": {"scanner": {"result": [{"severity": [{"method": "nvd", "score": "low"}]}]}},
	"predicate_times": {"/metadata/scanFinishedOn": now - (10 * day)},
	"signer": key("ci"),
	"times": [],
	"log_index": null,
	"model": true,
	"files": [],
}

files := {"weights": ["a.safetensors", "b.safetensors"], "config": ["config.json"]}

changed(attestation, changes) := object.union(object.remove(attestation, object.keys(changes)), changes)

unmet(wanted, found) := unmet_of(wanted, found, files, [])

unmet_of(wanted, found, signed_files, refused) := findings if {
	document := {
		"now": now,
		"coverage": {"signed_files": signed_files},
		"attestations": found,
		"refused_attestations": refused,
	}
	findings := attestations.unmet({"name": "built", "attestations": [wanted]}) with input as document
}

provenance := {"predicate_type": build.predicate_type, "signers": [ci]}

clean := {
	"predicate_type": "https://in-toto.io/attestation/vulns/*",
	"signers": [ci],
	"max_age_days": 30,
	"no_findings": ["critical", "high"],
}

codes(findings) := {finding.code | some finding in findings}

said(findings) := concat("", {finding.msg | some finding in findings})

test_a_requirement_without_attestations_wants_none if {
	attestations.unmet({"name": "x"}) == set() with input as {"attestations": [], "refused_attestations": []}
}

test_what_is_there_is_enough if {
	unmet(provenance, [build]) == set()
	unmet(clean, [report]) == set()
	unmet(changed(provenance, {"signers": [{"method": "key", "key": "x"}, ci]}), [build]) == set()
}

test_what_is_not_there_is_missing if {
	findings := unmet(provenance, [])
	codes(findings) == {"attestation.missing"}
	contains(said(findings), `the requirement "built" wants https://slsa.dev/provenance/v1 by the key "ci", but there is none beside the model`)
}

test_another_type_does_not_do if {
	codes(unmet(provenance, [report])) == {"attestation.missing"}
	codes(unmet(changed(provenance, {"predicate_type": "https://slsa.dev/*"}), [build])) == {"attestation.missing"}
	unmet(changed(provenance, {"predicate_type": "https://slsa.dev/**"}), [build]) == set()
}

test_another_signer_does_not_do_and_is_named if {
	findings := unmet(provenance, [changed(build, {"signer": key("publisher")})])
	codes(findings) == {"attestation.missing"}
	contains(said(findings), `but a.intoto.jsonl is by the key "publisher"`)
}

test_a_certificate_that_has_expired_must_be_allowed if {
	signer := {
		"method": "certificate",
		"identity": "ci@example.com",
		"subject": "CN=ci",
		"root": {"name": "pki"},
		"expired_at": "2026-01-02T03:04:05Z",
	}
	rule := {"method": "certificate", "identity": "ci@example.com", "root": "pki"}
	expired := changed(build, {"signer": signer})
	codes(unmet(changed(provenance, {"signers": [rule]}), [expired])) == {"attestation.missing"}
	lenient := object.union(rule, {"allow_expired": true})
	unmet(changed(provenance, {"signers": [lenient]}), [expired]) == set()
}

test_what_was_refused_is_told if {
	refused := [{"name": "provenance", "path": "x", "code": "key.untrusted", "msg": "x does not count: it is by a stranger"}]
	contains(said(unmet_of(provenance, [], files, refused)), "but x does not count: it is by a stranger")
	unmet_of(provenance, [build], files, refused) == set()
}

test_every_file_of_weights_is_covered_together if {
	a := changed(build, {"model": false, "files": ["a.safetensors"]})
	b := changed(build, {"model": false, "files": ["b.safetensors", "config.json"], "path": "b"})
	unmet(provenance, [a, b]) == set()
	unmet(provenance, [changed(a, {"files": ["a.safetensors", "b.safetensors"]})]) == set()
	findings := unmet(provenance, [a])
	codes(findings) == {"attestation.unmet"}
	contains(said(findings), "what there is is not about b.safetensors")
}

test_files_that_are_not_weights_cover_nothing if {
	configured := changed(build, {"model": false, "files": ["config.json"]})
	codes(unmet(provenance, [configured])) == {"attestation.unmet"}
	findings := unmet_of(provenance, [configured], {"config": ["config.json"]}, [])
	codes(findings) == {"attestation.unmet"}
	contains(said(findings), "not about the model as a whole")
}

test_pickles_and_archives_are_weights_too if {
	one := changed(build, {"model": false, "files": ["a.safetensors"]})
	every kind, path in {"pickle": "x.bin", "archive": "x.nemo"} {
		signed_files := {"weights": ["a.safetensors"], kind: [path]}
		codes(unmet_of(provenance, [one], signed_files, [])) == {"attestation.unmet"}
		both := changed(one, {"files": ["a.safetensors", path]})
		unmet_of(provenance, [both], signed_files, []) == set()
	}
}

test_a_model_that_is_not_said_to_be_whole_is_not if {
	every value in [null, "true", 1] {
		codes(unmet(provenance, [changed(build, {"model": value})])) == {"attestation.unmet"}
	}
}

test_builder_and_source_are_as_wanted if {
	wanted := changed(provenance, {"builders": ["https://ci.example"], "sources": ["git+https://git.example/acme@*"]})
	unmet(wanted, [build]) == set()
	other := unmet(changed(wanted, {"builders": ["https://ci.example/*"]}), [build])
	codes(other) == {"attestation.unmet"}
	contains(said(other), `its builder "https://ci.example" is not https://ci.example/*`)
	elsewhere := unmet(changed(wanted, {"sources": ["git+https://git.example/mallory@*"]}), [build])
	codes(elsewhere) == {"attestation.unmet"}
	contains(said(elsewhere), "what it was built from (git+https://git.example/acme@main) is not")
}

test_a_predicate_that_is_cut_does_not_do if {
	wanted := changed(provenance, {"builders": ["**"], "sources": ["**"]})
	findings := unmet(wanted, [changed(build, {"predicate": {}})])
	codes(findings) == {"attestation.unmet"}
	contains(said(findings), "(of which it says nothing)")
	cut := unmet(clean, [changed(report, {"predicate": {"scanner": {}}})])
	codes(cut) == {"attestation.unmet"}
	contains(said(cut), "a report of no known form")
}

test_findings_are_told if {
	critical := changed(report, {"predicate": {"scanner": {"result": [{"severity": [{"method": "nvd", "score": "critical"}]}]}}})
	findings := unmet(clean, [critical])
	codes(findings) == {"attestation.unmet"}
	contains(said(findings), "it has findings of the severities critical, and no finding may be critical or high")
}

test_an_old_scan_does_not_do if {
	old := changed(report, {"predicate_times": {"/metadata/scanFinishedOn": now - (31 * day)}})
	findings := unmet(clean, [old])
	codes(findings) == {"attestation.unmet"}
	contains(said(findings), "it is 31 days old, and wanted within 30 days")
}

test_a_scan_is_as_old_as_it_says_and_not_as_its_signature if {
	resigned := changed(report, {
		"predicate_times": {"/metadata/scanFinishedOn": now - (31 * day)},
		"times": [now],
	})
	codes(unmet(clean, [resigned])) == {"attestation.unmet"}
	untimed := changed(report, {"predicate_times": {}, "times": [now]})
	findings := unmet(clean, [untimed])
	contains(said(findings), "of a time that nothing shows")
}

test_nothing_is_younger_than_its_signature_proves if {
	claimed := changed(report, {
		"predicate_times": {"/metadata/scanFinishedOn": now},
		"times": [now - day, now - (40 * day)],
	})
	codes(unmet(clean, [claimed])) == {"attestation.unmet"}
}

test_what_comes_from_the_future_does_not_do if {
	ahead := changed(report, {"predicate_times": {"/metadata/scanFinishedOn": now + 601}})
	findings := unmet(clean, [ahead])
	codes(findings) == {"attestation.unmet"}
	contains(said(findings), "from the future")
	unmet(clean, [changed(report, {"predicate_times": {"/metadata/scanFinishedOn": now + 600}})]) == set()
}

test_other_types_are_as_old_as_their_signature if {
	wanted := changed(provenance, {"max_age_days": 7})
	unmet(wanted, [build]) == set()
	codes(unmet(wanted, [changed(build, {"times": []})])) == {"attestation.unmet"}
	codes(unmet(wanted, [changed(build, {"times": [now, now - (8 * day)]})])) == {"attestation.unmet"}
}

test_a_build_whose_end_is_no_time_has_none if {
	wanted := changed(provenance, {"max_age_days": 7})
	said_so := {"runDetails": {"metadata": {"finishedOn": "today"}}}
	codes(unmet(wanted, [changed(build, {"predicate": said_so})])) == {"attestation.unmet"}
	timed := changed(build, {"predicate": said_so, "predicate_times": {"/runDetails/metadata/finishedOn": now - day}})
	unmet(wanted, [timed]) == set()
}

critical_now := changed(report, {
	"path": "new.sigstore.json",
	"predicate": {"scanner": {"result": [{"severity": [{"method": "nvd", "score": "critical"}]}]}},
	"predicate_times": {"/metadata/scanFinishedOn": now - day},
})

test_a_newer_scan_replaces_an_older_one if {
	codes(unmet(clean, [report, critical_now])) == {"attestation.unmet"}
	older := changed(critical_now, {"predicate_times": {"/metadata/scanFinishedOn": now - (20 * day)}})
	unmet(clean, [report, older]) == set()
}

test_bad_news_counts_until_it_is_replaced if {
	files_alone := {"model": false, "files": ["a.safetensors", "b.safetensors"]}
	weights_alone := {"model": false, "files": ["a.safetensors"]}
	timeless := {"predicate_times": {}}
	undated := object.remove(clean, ["max_age_days"])
	every pair in [
		# What is newer, but about less.
		[report, changed(critical_now, weights_alone)],
		[changed(report, files_alone), changed(critical_now, weights_alone)],
		# What is older, but about more.
		[changed(report, files_alone), changed(critical_now, {"predicate_times": {"/metadata/scanFinishedOn": now - (20 * day)}})],
		# What is of the same time, or where one says none.
		[report, changed(critical_now, {"predicate_times": report.predicate_times})],
		[report, changed(critical_now, timeless)],
		[changed(report, timeless), critical_now],
		# What says that it is from the future replaces nothing, but is no good news either.
		[report, changed(critical_now, {"predicate_times": {"/metadata/scanFinishedOn": now + day}})],
	] {
		unmet(undated, [pair[0]]) == set()
		found := unmet(undated, pair)
		codes(found) == {"attestation.unmet"}
		contains(said(found), `new.sigstore.json does not do: it has findings of the severities critical`)
	}
}

test_what_is_about_files_is_replaced_by_what_is_about_all_of_them if {
	one := changed(critical_now, {"model": false, "files": ["a.safetensors"], "predicate_times": {"/metadata/scanFinishedOn": now - (20 * day)}})
	both := changed(report, {"model": false, "files": ["a.safetensors", "b.safetensors"]})
	unmet(clean, [one, both]) == set()
	unmet(clean, [one, report]) == set()
	other := changed(one, {"files": ["a.safetensors", "config.json"]})
	codes(unmet(clean, [other, both])) == {"attestation.unmet"}
}

test_nothing_is_replaced_by_somebody_else if {
	stranger := {"signer": key("mallory")}
	unmet(clean, [report, changed(critical_now, stranger)]) == set()
	codes(unmet(clean, [changed(report, stranger), critical_now])) == {"attestation.unmet"}
	newer := changed(report, object.union(stranger, {"predicate_times": {"/metadata/scanFinishedOn": now - 60}}))
	codes(unmet(clean, [critical_now, newer])) == {"attestation.unmet"}
}

test_nothing_is_replaced_from_the_future if {
	ahead := changed(report, {"predicate_times": {"/metadata/scanFinishedOn": now + day}})
	codes(unmet(object.remove(clean, ["max_age_days"]), [critical_now, ahead])) == {"attestation.unmet"}
}

test_clocks_may_differ_a_little if {
	every seconds, codes_ in {600: set(), 601: {"attestation.unmet"}} {
		ahead := changed(report, {"predicate_times": {"/metadata/scanFinishedOn": now + seconds}})
		codes(unmet(object.remove(clean, ["max_age_days"]), [critical_now, ahead])) == codes_
	}
}

test_a_day_has_its_seconds if {
	document := {"now": now}
	at := {"predicate_times": {"/metadata/scanFinishedOn": now - (7 * day)}}
	attestations.within_days(changed(report, at), 7) with input as document
	before := {"predicate_times": {"/metadata/scanFinishedOn": (now - (7 * day)) - 1}}
	not attestations.within_days(changed(report, before), 7) with input as document
}

test_one_file_of_weights_is_all_of_them if {
	alone := changed(build, {"model": false, "files": ["a.gguf"]})
	unmet_of(provenance, [alone], {"weights": ["a.gguf"]}, []) == set()
	codes(unmet_of(provenance, [alone], {"weights": ["b.gguf"]}, [])) == {"attestation.unmet"}
}

test_only_what_is_wanted_free_of_findings_accuses if {
	unmet(object.remove(clean, ["no_findings"]), [report, changed(critical_now, {"model": false, "files": ["a.safetensors"]})]) == set()
}

test_a_policy_of_ones_own_can_ask_the_same if {
	document := {"now": now, "coverage": {"signed_files": files}, "attestations": [build, report]}
	attestations.cover_model(attestations.by("https://slsa.dev/provenance/v1", [ci])) with input as document
	attestations.within_days(report, 10) with input as document
	not attestations.within_days(report, 9) with input as document
}
