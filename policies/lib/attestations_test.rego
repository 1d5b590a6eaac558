package oms_gate.lib.attestations_test

import data.oms_gate.lib.attestations

test_a_statement_that_is_wanted_has_to_be_there if {
	attestations.unmet({"attestations": [{"predicate_type": "x"}]}) == {{
		"code": "attestation.missing",
		"msg": "there is no x",
	}}
	attestations.unmet({"name": "other"}) == set()
}
