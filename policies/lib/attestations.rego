# METADATA
# title: Attestations
# description: |
#   Signed statements beside the model, verified with the gate's trust and bound to it by digests:
#   `input.attestations`. What is refused is in `input.refused_attestations`, and proves nothing.
package oms_gate.lib.attestations

import data.oms_gate.lib.globs
import data.oms_gate.lib.provenance
import data.oms_gate.lib.scan
import data.oms_gate.lib.signers

# METADATA
# title: What of a requirement on attestations is not met
# description: |
#   What of the attestations that a requirement wants is not met. Each of `attestations` is met by
#   those of its type and signers that have no flaw, if they are about the model as a whole, or
#   together about each of its files of weights.
unmet(requirement) := {finding |
	some wanted in requirement.attestations
	not met(wanted)
	finding := {"code": code(wanted), "msg": $`the requirement "{requirement.name}" wants {description(wanted)}, but {problem(wanted)}; have one made for this release, or correct the requirement`}
}

# METADATA
# title: Attestations of a type by somebody
# description: The attestations of a type (a glob) by one of the signers, which are as in gate.yaml.
by(predicate_type, allowed) := {attestation |
	some attestation in input.attestations
	globs.matches(predicate_type, attestation.predicate_type)
	some rule in allowed
	signers.names(rule, attestation.signer)
	signers.in_time(rule, attestation.signer)
}

# METADATA
# title: Whether attestations cover the model
# scope: document
# description: |
#   Whether these attestations are about all that matters: one about the model as a whole, or all
#   together about every signed file of weights. A model without such files is none to judge so.
cover_model(attestations) if {
	some attestation in attestations
	attestation.model == true
}

cover_model(attestations) if {
	count(weights) > 0
	count(weights - files_of(attestations)) == 0
}

# METADATA
# title: When it took place
# scope: document
# description: |
#   When what is attested took place, in Unix seconds: the end of the build or of the scan, or else
#   the signing. It is never later than a proven time of the signature; undefined where nothing says
#   it.
made_at(attestation) := min(array.concat([stated_at(attestation)], attestation.times))

made_at(attestation) := min(attestation.times) if {
	not attestation.predicate_type in scan.predicate_types
	not provenance.says_when(attestation)
}

# METADATA
# title: Whether it took place lately
# description: |
#   Whether it took place within so many days. What lies ahead did not, but for a clock that is a
#   little off.
within_days(attestation, days) if {
	age := input.now - made_at(attestation)
	age <= days * 86400
	age >= 0 - clock_skew
}

# METADATA
# title: Those that nothing newer replaces
# description: Those of these attestations that no newer one about the same replaces.
latest(attestations) := {attestation |
	some attestation in attestations
	not replaced(attestation, attestations)
}

replaced(attestation, attestations) if {
	some other in attestations
	made_at(other) > made_at(attestation)
	made_at(other) <= input.now + clock_skew
	is_about_as_much(other, attestation)
}

is_about_as_much(other, _) if other.model == true

is_about_as_much(other, attestation) if {
	attestation.model == false
	every path in attestation.files {
		path in other.files
	}
}

# Of the machines that say when, in seconds.
clock_skew := 600

stated_at(attestation) := provenance.finished_at(attestation)

stated_at(attestation) := scan.finished_at(attestation)

weights contains path if {
	some kind in ["weights", "pickle", "archive"]
	some path in input.coverage.signed_files[kind]
}

files_of(attestations) := {path |
	some attestation in attestations
	some path in attestation.files
}

met(wanted) if {
	cover_model(flawless(wanted))
	count(accusing(wanted)) == 0
}

# Bad news counts until something newer about as much replaces it, however good the other news is.
accusing(wanted) := {attestation |
	some attestation in candidates(wanted)
	count(findings_flaw(wanted, attestation)) > 0
}

candidates(wanted) := latest(by(wanted.predicate_type, wanted.signers))

flawless(wanted) := {attestation |
	some attestation in candidates(wanted)
	count(flaws(wanted, attestation)) == 0
}

# What speaks against an attestation of the right type by the right signer.
flaws(wanted, attestation) := union({
	builder_flaw(wanted, attestation),
	source_flaw(wanted, attestation),
	age_flaw(wanted, attestation),
	findings_flaw(wanted, attestation),
})

builder_flaw(wanted, attestation) := {$`its builder {shown_builder(attestation)} is not {alternatives(wanted.builders)}` |
	wanted.builders
	not provenance.built_by(attestation, wanted.builders)
}

source_flaw(wanted, attestation) := {$`what it was built from ({alternatives(provenance.sources(attestation))}) is not {alternatives(wanted.sources)}` |
	wanted.sources
	not provenance.built_from(attestation, wanted.sources)
}

age_flaw(wanted, attestation) := {$`it is {shown_age(attestation)}, and wanted within {wanted.max_age_days} days` |
	_ := wanted.max_age_days
	not within_days(attestation, wanted.max_age_days)
}

findings_flaw(wanted, attestation) := {$`it has {shown_findings(attestation)}, and no finding may be {alternatives(wanted.no_findings)}` |
	wanted.no_findings
	not scan.free_of(attestation, wanted.no_findings)
}

shown_builder(attestation) := $`"{provenance.builder(attestation)}"` if {
	provenance.builder(attestation)
} else := "(of which it says nothing)"

shown_age(attestation) := "of a time that nothing shows" if {
	not made_at(attestation)
} else := "from the future" if {
	made_at(attestation) > input.now
} else := $`{floor((input.now - made_at(attestation)) / 86400)} days old`

shown_findings(attestation) := $`findings of the severities {alternatives(scan.severities(attestation))}` if {
	scan.severities(attestation)
} else := "a report of no known form"

default code(_) := "attestation.missing"

code(wanted) := "attestation.unmet" if count(candidates(wanted)) > 0

description(wanted) := $`{wanted.predicate_type} by {alternatives([signers.description(rule) | some rule in wanted.signers])}`

# It must be a sentence whatever was found: without one there would be no finding.
default problem(_) := "there is none beside the model"

problem(wanted) := concat("; ", array.slice(said, 0, 3)) if {
	said := sort(problems(wanted))
	count(said) > 0
}

problems(wanted) := ((({$`{attestation.path} does not do: {concat(", ", flaws(wanted, attestation))}` |
	some attestation in (candidates(wanted) - flawless(wanted))
} | {$`what there is is not about {concat(", ", array.slice(sort(uncovered), 0, 3))}` |
	count(flawless(wanted)) > 0
	uncovered := weights - files_of(flawless(wanted))
	count(uncovered) > 0
}) | {"what there is is not about the model as a whole" |
	count(flawless(wanted)) > 0
	count(weights) == 0
}) | {$`{attestation.path} is by {signers.found(attestation.signer)}` |
	count(candidates(wanted)) == 0
	some attestation in input.attestations
	globs.matches(wanted.predicate_type, attestation.predicate_type)
}) | {refused.msg |
	count(candidates(wanted)) == 0
	some refused in input.refused_attestations
}

alternatives(texts) := concat(" or ", texts)
