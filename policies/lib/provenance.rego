# METADATA
# title: Provenance
# description: |
#   What a SLSA provenance v1 says of how a model came to be: who built it, from what, and when. It
#   is as true as its signer is honest, so ask for both: who may sign it, and what it has to say.
#   All of it is positive: what is missing, or of another type, is not shown.
package oms_gate.lib.provenance

import data.oms_gate.lib.globs

# METADATA
# title: The type of provenance
# description: What provenance calls itself (`predicate_type`).
predicate_type := "https://slsa.dev/provenance/v1"

# METADATA
# title: The builder
# description: Who built it, by its id; undefined where an attestation does not say.
builder(attestation) := id if {
	attestation.predicate_type == predicate_type
	id := attestation.predicate.runDetails.builder.id
	is_string(id)
}

# METADATA
# title: What it was built from
# description: |
#   What it was built from, as URIs: the repository of the workflow, without and with its ref, where
#   it is one of GitHub; otherwise all that the build has resolved.
sources(attestation) := {workflow.repository, $`git+{workflow.repository}@{workflow.ref}`} if {
	is_workflow(attestation)
	workflow := attestation.predicate.buildDefinition.externalParameters.workflow
	is_string(workflow.repository)
	is_string(workflow.ref)
} else := {dependency.uri |
	attestation.predicate_type == predicate_type
	not is_workflow(attestation)
	some dependency in attestation.predicate.buildDefinition.resolvedDependencies
	is_string(dependency.uri)
}

# A workflow may check out, and so resolve, any other repository besides its own.
is_workflow(attestation) if {
	attestation.predicate_type == predicate_type
	type := attestation.predicate.buildDefinition.buildType
	is_string(type)
	startswith(type, "https://actions.github.io/buildtypes/workflow/")
}

# METADATA
# title: Whether it was built by
# description: Whether one of the globs is about its builder.
built_by(attestation, builders) if {
	some wildcard in builders
	globs.matches(wildcard, builder(attestation))
}

# METADATA
# title: Whether it was built from
# description: Whether one of the globs is about something that it was built from.
built_from(attestation, allowed) if {
	some wildcard in allowed
	some source in sources(attestation)
	globs.matches(wildcard, source)
}

# METADATA
# title: Whether it says when
# description: Whether it says when the build ended, be that a time or not.
says_when(attestation) if {
	attestation.predicate_type == predicate_type
	_ := attestation.predicate.runDetails.metadata.finishedOn
}

# METADATA
# title: When the build ended
# description: When the build ended, as its signer says, in Unix seconds.
finished_at(attestation) := attestation.predicate_times["/runDetails/metadata/finishedOn"] if {
	attestation.predicate_type == predicate_type
}
