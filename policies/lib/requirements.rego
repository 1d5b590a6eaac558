# METADATA
# title: Requirements
# description: |
#   What is required of models besides a trusted signer and coverage, by the list at
#   data.oms_gate.requirements. All that apply must be met.
package oms_gate.lib.requirements

import data.oms_gate.lib.attestations
import data.oms_gate.lib.claims
import data.oms_gate.lib.coverage
import data.oms_gate.lib.formats
import data.oms_gate.lib.globs
import data.oms_gate.lib.history
import data.oms_gate.lib.proof

# METADATA
# description: The requirements that apply to this model, in what it is wanted for and where.
applying contains requirement if {
	some requirement in data.oms_gate.requirements
	where := object.get(requirement, "where", {})
	is_about_model(where)
	is_about_operation(where)
	is_about_namespace(where)
	is_about_labels(where)
	is_about_service_account(where)
}

is_about_model(where) if not where.models

is_about_model(where) if {
	some glob in where.models
	globs.covers(glob, input.model.name)
}

is_about_operation(where) if not where.operations

is_about_operation(where) if input.context.operation in where.operations

is_about_namespace(where) if not where.namespaces

is_about_namespace(where) if {
	some glob in where.namespaces
	globs.matches(glob, input.context.namespace)
}

is_about_labels(where) if not where.namespace_labels

is_about_labels(where) if {
	labels := object.get(input.context, "namespace_labels", {})
	every name, value in where.namespace_labels {
		labels[name] == value
	}
}

is_about_service_account(where) if not where.service_accounts

is_about_service_account(where) if {
	some glob in where.service_accounts
	globs.matches(glob, input.context.service_account)
}

# METADATA
# description: What a requirement is not met by.
unmet(requirement) := union({
	coverage.unmet(requirement),
	proof.unmet(requirement),
	formats.unmet(requirement),
	claims.unmet(requirement),
	history.unmet(requirement),
	attestations.unmet(requirement),
})

deny contains finding if {
	some requirement in applying
	not requirement.effect == "warn"
	some finding in unmet(requirement)
}

warn contains finding if {
	some requirement in applying
	requirement.effect == "warn"
	some finding in unmet(requirement)
}

# METADATA
# description: The assurances that they want.
assurances contains requirement.assurance if some requirement in applying
