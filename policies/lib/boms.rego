# METADATA
# title: Bills of materials
# description: |
#   CycloneDX and SPDX documents in the model that its signature covers: `input.boms`. What is
#   refused is in `input.refused_boms`, and says nothing. What they state is the signer's word.
package oms_gate.lib.boms

# METADATA
# title: What of a requirement on bills of materials is not met
# description: Those that it wants, by their names in gate.yaml, and that are not there, signed.
unmet(requirement) := {{"code": "bom.missing", "msg": msg} |
	some name in requirement.boms
	not is_there(name)
	msg := $`the requirement "{requirement.name}" wants the bill of materials "{name}", signed with the model, but {problem(name)}; have the publisher sign the model with it, or correct the requirement`
}

# METADATA
# title: Everything that is listed
# description: |
#   The components of a CycloneDX document, at whatever depth, with what it is about and what that
#   was made from (ancestors); and the packages of an SPDX document.
components(bom) := union({
	{component |
		some list in ["components", "ancestors", "packages"]
		walk(bom.document, [path, component])
		is_object(component)
		path[count(path) - 2] == list
	},
	{component | component := bom.document.metadata.component},
})

# METADATA
# title: The licences of a component
# scope: document
# description: |
#   What a component of CycloneDX or a package of SPDX is licensed under: identifiers, names and
#   whole expressions, as they are written. Without any it is the empty set.
licences(component) := union({
	{choice.expression | some choice in component.licenses},
	{choice.license[key] | some choice in component.licenses; some key in ["id", "name"]},
	{component[key] | some key in ["licenseDeclared", "licenseConcluded"]},
})

is_there(name) if {
	some bom in input.boms
	bom.name == name
}

default problem(_) := "there is none"

problem(name) := concat("; ", sort(said)) if {
	said := {refused.msg | some refused in input.refused_boms; refused.name == name}
	count(said) > 0
}
