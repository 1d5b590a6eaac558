# METADATA
# title: Scans
# description: |
#   What a vulnerability scan has found, and when it ended: of in-toto (vulns v0.1 and v0.2), and of
#   cosign (vuln v1) with the report of Trivy or Grype in it. A report of a form that is not known
#   here shows nothing, and least of all that there are no findings.
package oms_gate.lib.scan

# METADATA
# title: The types of scans
# description: What scans call themselves (`predicate_type`).
predicate_types := in_toto_types | cosign_types

in_toto_types := {
	"https://in-toto.io/attestation/vulns",
	"https://in-toto.io/attestation/vulns/v0.1",
	"https://in-toto.io/attestation/vulns/v0.2",
}

cosign_types := {
	"https://cosign.sigstore.dev/attestation/vuln/v1",
	"cosign.sigstore.dev/attestation/vuln/v1",
}

# METADATA
# title: The severities that were found
# description: |
#   The severities of all findings, in lower case; "unknown" for one that nobody has rated. Undefined
#   where the report is of no known form.
severities(attestation) := {severity |
	some finding in attestation.predicate.scanner.result
	some severity in rated(finding)
} if {
	attestation.predicate_type in in_toto_types
	result := attestation.predicate.scanner.result
	is_array(result)
	every finding in result {
		is_array(finding.severity)
	}
} else := {severity |
	some report in reports(attestation)
	some word in words(report)
	severity := severity_of(word)
} if {
	attestation.predicate_type in cosign_types
	found := reports(attestation)
	count(found) > 0
	every report in found {
		is_report(report)
	}
}

# METADATA
# title: Whether a scan is free of findings
# description: Whether a scan shows that it has no finding of these severities, nor one without any.
free_of(attestation, unwanted) if {
	found := severities(attestation)
	not "unknown" in found
	every severity in found {
		not severity in unwanted
	}
}

# METADATA
# title: When the scan ended
# description: When the scan ended, as its signer says, in Unix seconds.
finished_at(attestation) := attestation.predicate_times["/metadata/scanFinishedOn"] if {
	attestation.predicate_type in predicate_types
}

# Of in-toto, by one method of scoring or more. One that is not understood adds nothing.
rated(finding) := found if {
	found := {severity |
		some score in finding.severity
		severity := severity_by(score)
	}
	count(found) > 0
} else := {"unknown"}

severity_by(score) := severity_of(score.score) if {
	severity_of(score.score) != "unknown"
} else := rating(to_number(score.score)) if {
	is_string(score.method)
	is_string(score.score)
	contains(lower(score.method), "cvss")
	regex.match(`\A[0-9]{1,2}(?:\.[0-9]{1,3})?\z`, score.score)
}

# The qualitative ratings of CVSS v3.1 and v4.0.
rating(score) := "critical" if {
	score >= 9
} else := "high" if {
	score >= 7
} else := "medium" if {
	score >= 4
} else := "low" if {
	score > 0
} else := "none"

# What scanners call them.
severity_of(word) := "medium" if {
	is_string(word)
	lower(word) == "moderate"
} else := lower(word) if {
	is_string(word)
	lower(word) in {"critical", "high", "medium", "low", "negligible", "none"}
} else := "unknown"

# Its text has "scanners", its tools have "scanner".
reports(attestation) := [attestation.predicate.scanner.result] if {
	not attestation.predicate.scanners
} else := [scanner.result | some scanner in attestation.predicate.scanners] if {
	not attestation.predicate.scanner
	every scanner in attestation.predicate.scanners {
		is_object(scanner.result)
	}
}

# Grype.
is_report(report) if {
	not report.Results
	is_array(report.matches)
	every match in report.matches {
		is_string(match.vulnerability.severity)
	}
}

# Trivy leaves out lists that are empty, but of what it has not looked at it has no result.
is_report(report) if {
	not report.matches
	is_array(report.Results)
	count(report.Results) > 0
	every result in report.Results {
		is_object(result)
		every name in lists {
			findings := object.get(result, name, [])
			is_array(findings)
			every finding in findings {
				is_string(finding.Severity)
			}
		}
	}
}

lists := {"Vulnerabilities", "Misconfigurations", "Secrets"}

words(report) := {match.vulnerability.severity | some match in report.matches} | {finding.Severity |
	some result in report.Results
	some name in lists
	some finding in result[name]
	not is_passed_check(name, finding)
}

is_passed_check(name, finding) if {
	name == "Misconfigurations"
	finding.Status == "PASS"
}
