package oms_gate.lib.claims_test

import data.oms_gate.lib.claims
import data.oms_gate.lib.samples_test as samples

unmet(wanted) := found if {
	document := samples.changed(samples.model, {
		"/signer/claims/ref": "refs/tags/v1",
		"/signer/claims/runner": "self-hosted",
	})
	found := claims.unmet({"name": "CI", "claims": wanted}) with input as document
}

test_a_claim_has_to_match_one_of_the_globs if {
	unmet({"ref": ["refs/heads/main", "refs/tags/*"]}) == set()
	unmet({"ref": ["refs/tags/v1"], "repository": ["example/*"]}) == set()
}

test_look_alikes_do_not_match if {
	every allowed in [["refs/tags/v"], ["tags/*"], ["refs/*"], ["refs/tags/v1/*"], ["refs.tags.v1"], ["*"]] {
		found := unmet({"ref": allowed})
		samples.codes(found) == {"requirement.claims"}
		samples.says(found, `the signer's ref is refs/tags/v1, but the requirement "CI" wants`)
	}
	samples.says(unmet({"ref": ["a", "b"]}), "wants a or b;")
}

test_every_claim_is_wanted if {
	count(unmet({"ref": ["x"], "runner": ["x"], "repository": ["example/model"]})) == 2
}

test_a_claim_that_is_not_there_is_not_met if {
	samples.says(unmet({"workflow": ["**"]}), "the signer's workflow is not in the certificate")
}

test_nothing_is_wanted_without_claims if {
	claims.unmet({"name": "CI"}) == set() with input as samples.model
}
