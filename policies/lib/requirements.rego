# METADATA
# title: Requirements
# description: |
#   What is required of models besides a trusted signer and coverage, by the list at
#   data.oms_gate.requirements. All that apply must be met.
package oms_gate.lib.requirements

import data.oms_gate.lib.attestations
import data.oms_gate.lib.boms
import data.oms_gate.lib.claims
import data.oms_gate.lib.coverage
import data.oms_gate.lib.formats
import data.oms_gate.lib.globs
import data.oms_gate.lib.history
import data.oms_gate.lib.proof

# METADATA
# title: Requirements that apply
# description: Those that are about this model, what it is wanted for, and where.
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
	some wildcard in where.models
	globs.covers(wildcard, input.model.name)
}

is_about_operation(where) if not where.operations

is_about_operation(where) if input.context.operation in where.operations

is_about_namespace(where) if not where.namespaces

is_about_namespace(_) if is_untold("namespace")

is_about_namespace(where) if {
	some wildcard in where.namespaces
	globs.matches(wildcard, input.context.namespace)
}

is_about_labels(where) if not where.namespace_labels

is_about_labels(_) if is_untold("namespace_labels")

is_about_labels(where) if {
	labels := input.context.namespace_labels
	every name, value in where.namespace_labels {
		labels[name] == value
	}
}

is_about_service_account(where) if not where.service_accounts

is_about_service_account(_) if is_untold("service_account")

is_about_service_account(where) if {
	some wildcard in where.service_accounts
	globs.matches(wildcard, input.context.service_account)
}

# A pod is somewhere. Where nobody says in which namespace, it may be in any.
is_untold(member) if {
	input.context.operation == "admit"
	not input.context[member]
}

# METADATA
# title: What of a requirement is not met
# description: The findings on whatever it requires.
unmet(requirement) := union({
	coverage.unmet(requirement),
	proof.unmet(requirement),
	formats.unmet(requirement),
	claims.unmet(requirement),
	history.unmet(requirement),
	attestations.unmet(requirement),
	boms.unmet(requirement),
})

# METADATA
# title: Requirements that stand against the model
# description: What of them is not met. A requirement denies unless it says that it only warns.
deny contains finding if {
	some requirement in applying
	not only_warns(requirement)
	some finding in unmet(requirement)
}

# METADATA
# title: Requirements that only warn
# description: What of them is not met.
warn contains finding if {
	some requirement in applying
	only_warns(requirement)
	some finding in unmet(requirement)
}

# METADATA
# title: Required assurances
# description: Those that the requirements which deny want.
assurances contains requirement.assurance if {
	some requirement in applying
	not only_warns(requirement)
}

only_warns(requirement) if requirement.effect == "warn"
