package oms_gate.lib.boms_test

import data.oms_gate.lib.boms
import data.oms_gate.lib.samples_test as samples

wanted(name) := {"name": "Listed", "boms": [name]}

test_a_bill_that_is_there_is_enough if {
	boms.unmet(wanted("sbom")) == set() with input as samples.model
	boms.unmet({"name": "x"}) == set() with input as samples.model
}

test_a_bill_that_is_not_there_is_missed if {
	found := boms.unmet(wanted("other")) with input as samples.model
	samples.codes(found) == {"bom.missing"}
	samples.says(found, `"Listed" wants the bill of materials "other"`)
	samples.says(found, "there is none")
}

test_a_bill_that_is_refused_does_not_count if {
	found := boms.unmet(wanted("spdx")) with input as samples.model
	samples.codes(found) == {"bom.missing"}
	samples.says(found, "nobody signed it")
	not samples.says(found, "there is none")
}

test_each_that_is_wanted_must_be_there if {
	found := boms.unmet({"name": "x", "boms": ["sbom", "spdx", "other"]}) with input as samples.model
	count(found) == 2
}

test_components_at_any_depth if {
	inner := {"name": "inner", "components": [{"name": "innermost"}]}
	document := {
		"metadata": {"component": {"name": "model", "components": [{"name": "file"}]}},
		"components": [{"name": "outer", "pedigree": {"ancestors": [{"name": "base"}]}}, inner],
	}
	names := {component.name | some component in boms.components({"document": document})}
	names == {"model", "file", "outer", "base", "inner", "innermost"}
}

test_packages_of_spdx if {
	document := {"packages": [{"name": "model"}, {"name": "base"}], "files": [{"name": "x"}]}
	{component.name | some component in boms.components({"document": document})} == {"model", "base"}
	boms.components({"document": {}}) == set()
	boms.components({"document": {"components": "x", "packages": ["y"]}}) == set()
}

test_licences_as_they_are_written if {
	choices := [{"license": {"id": "MIT"}}, {"license": {"name": "Own"}}, {"license": {}}]
	boms.licences({"licenses": choices}) == {"MIT", "Own"}
	boms.licences({"licenses": [{"expression": "MIT OR Apache-2.0"}]}) == {"MIT OR Apache-2.0"}
	boms.licences({"licenseDeclared": "MIT"}) == {"MIT"}
	boms.licences({"licenseDeclared": "MIT", "licenseConcluded": "NOASSERTION"}) == {"MIT", "NOASSERTION"}
	boms.licences({}) == set()
}
