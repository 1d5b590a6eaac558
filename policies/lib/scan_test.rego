package oms_gate.lib.scan_test

import data.oms_gate.lib.scan

in_toto(result) := {
	"predicate_type": "https://in-toto.io/attestation/vulns/v0.2",
	"predicate": {"scanner": {"uri": "pkg:example/scanner", "result": result}},
	"predicate_times": {"/metadata/scanFinishedOn": 1788264000},
}

cosign(report) := {
	"predicate_type": "https://cosign.sigstore.dev/attestation/vuln/v1",
	"predicate": {"scanner": {"uri": "pkg:example/scanner", "result": report}},
	"predicate_times": {"/metadata/scanFinishedOn": 1788264000},
}

rated(method, score) := in_toto([{"id": "CVE-1", "severity": [{"method": method, "score": score}]}])

grype(severity) := cosign({"matches": [{"vulnerability": {"id": "CVE-1", "severity": severity}}]})

trivy(name, finding) := cosign({"SchemaVersion": 2, "Results": [{"Target": "a"}, {"Target": "b", name: [finding]}]})

test_no_finding_is_no_finding if {
	every attestation in [in_toto([]), cosign({"matches": []}), cosign({"Results": [{"Target": "a"}]})] {
		scan.severities(attestation) == set()
		scan.free_of(attestation, ["critical", "high", "medium", "low"])
	}
}

test_findings_have_the_severity_of_their_word if {
	every word, severity in {"Critical": "critical", "HIGH": "high", "medium": "medium", "Moderate": "medium", "low": "low", "Negligible": "negligible", "none": "none", "Urgent": "unknown", "": "unknown", "UNKNOWN": "unknown"} {
		scan.severities(rated("nvd", word)) == {severity}
		scan.severities(grype(word)) == {severity}
		scan.severities(trivy("Vulnerabilities", {"Severity": word})) == {severity}
	}
}

test_findings_have_the_severity_of_their_cvss_score if {
	every score, severity in {"10.0": "critical", "9": "critical", "8.9": "high", "7.0": "high", "6.9": "medium", "4.0": "medium", "3.9": "low", "0.1": "low", "0.0": "none"} {
		scan.severities(rated("CVSS_v3", score)) == {severity}
	}
}

test_scores_of_another_kind_are_not_understood if {
	every method, score in {"epss": "0.97", "cvss": "CVSS:3.1/AV:N", "nvd": "5.2", "cvss_score": "1e9", "cvss_v2": "-1"} {
		scan.severities(rated(method, score)) == {"unknown"}
	}
	every score in [null, 9.8, true, [], {}] {
		scan.severities(rated("cvss", score)) == {"unknown"}
		scan.severities(rated(score, "9.8")) == {"unknown"}
	}
	scan.severities(in_toto([{"severity": []}])) == {"unknown"}
	scan.severities(in_toto([{"severity": [{}, "critical", null]}])) == {"unknown"}
}

test_the_worst_of_two_scores_is_seen if {
	both := in_toto([{"severity": [{"method": "nvd", "score": "low"}, {"method": "cvss", "score": "9.8"}]}])
	not scan.free_of(both, ["critical"])
	not scan.free_of(both, ["low"])
	scan.free_of(both, ["high", "medium"])
}

test_a_finding_that_nobody_rated_may_be_any if {
	not scan.free_of(rated("epss", "0.97"), ["critical"])
	not scan.free_of(grype("Unknown"), ["critical"])
	scan.free_of(grype("Low"), ["critical"])
}

test_every_list_of_trivy_counts if {
	every name in ["Vulnerabilities", "Misconfigurations", "Secrets"] {
		not scan.free_of(trivy(name, {"Severity": "CRITICAL"}), ["critical"])
		scan.free_of(trivy(name, {"Severity": "LOW"}), ["critical"])
	}
}

test_a_check_that_was_passed_is_no_finding if {
	passed := {"Severity": "CRITICAL", "Status": "PASS"}
	scan.free_of(trivy("Misconfigurations", passed), ["critical"])
	not scan.free_of(trivy("Misconfigurations", object.union(passed, {"Status": "FAIL"})), ["critical"])
	not scan.free_of(trivy("Vulnerabilities", passed), ["critical"])
}

test_the_form_of_cosigns_text_is_read_too if {
	several := {
		"predicate_type": "cosign.sigstore.dev/attestation/vuln/v1",
		"predicate": {"scanners": [
			{"result": {"matches": []}},
			{"result": {"Results": [{"Vulnerabilities": [{"Severity": "HIGH"}]}]}},
		]},
	}
	scan.severities(several) == {"high"}
	not scan.severities(json.patch(several, [{"op": "add", "path": "/predicate/scanner", "value": {"result": {"matches": []}}}]))
	not scan.severities(json.patch(several, [{"op": "replace", "path": "/predicate/scanners", "value": []}]))
	not scan.severities(json.patch(several, [{"op": "add", "path": "/predicate/scanners/-", "value": {}}]))
}

test_a_report_of_another_form_shows_nothing if {
	every result in [null, 1, "none", true, {}, [1], [null], [{}], [{"severity": "low"}], [{"severity": {"method": "nvd", "score": "low"}}]] {
		not scan.severities(in_toto(result))
		not scan.free_of(in_toto(result), ["critical"])
	}
	every report in [null, 1, "none", [], {}, {"matches": null}, {"matches": {}}, {"matches": [{}]}, {"matches": [{"vulnerability": {}}]}, {"matches": [{"vulnerability": {"severity": 1}}]}, {"Results": []}, {"Results": null}, {"Results": [1]}, {"Results": [{"Vulnerabilities": null}]}, {"Results": [{"Vulnerabilities": {}}]}, {"Results": [{"Secrets": [{}]}]}, {"Results": [{"Vulnerabilities": [{"Severity": 9}]}]}, {"matches": [], "Results": [{}]}, {"runs": []}] {
		not scan.severities(cosign(report))
		not scan.free_of(cosign(report), ["critical"])
	}
	not scan.severities(json.patch(in_toto([]), [{"op": "remove", "path": "/predicate/scanner/result"}]))
	not scan.severities(json.patch(cosign({"matches": []}), [{"op": "remove", "path": "/predicate/scanner"}]))
}

test_what_is_no_scan_has_no_severities if {
	every type in ["https://in-toto.io/attestation/vulns/v0.3", "https://spdx.dev/Document", "https://cosign.sigstore.dev/attestation/vuln/v1x"] {
		not scan.severities(json.patch(in_toto([]), [{"op": "replace", "path": "/predicate_type", "value": type}]))
		not scan.finished_at(json.patch(in_toto([]), [{"op": "replace", "path": "/predicate_type", "value": type}]))
	}
}

test_the_end_of_a_scan_is_told if {
	scan.finished_at(in_toto([])) == 1788264000
	scan.finished_at(cosign({})) == 1788264000
	not scan.finished_at(object.union(object.remove(cosign({}), ["predicate_times"]), {"predicate_times": {}}))
}

test_each_type_of_scan_is_one if {
	every type in ["https://in-toto.io/attestation/vulns", "https://in-toto.io/attestation/vulns/v0.1", "https://in-toto.io/attestation/vulns/v0.2"] {
		scan.severities(object.union(in_toto([]), {"predicate_type": type})) == set()
	}
	every type in ["https://cosign.sigstore.dev/attestation/vuln/v1", "cosign.sigstore.dev/attestation/vuln/v1"] {
		scan.severities(object.union(cosign({"matches": []}), {"predicate_type": type})) == set()
	}
	every made in [in_toto([]), cosign({"matches": []})] {
		not scan.severities(object.union(made, {"predicate_type": "https://spdx.dev/Document"}))
	}
}

test_results_that_are_no_list_are_no_report if {
	not scan.severities(cosign({"Results": {"0": {"Target": "a"}}}))
}
