package oms_gate.admission

# Rules of our own, beside those of admission.rego: what they add to `deny` denies, whatever the
# library says, and what they add to `warn` warns. This one is an example to replace.

# Positive: what is missing, in the input or in the data, leaves `fits` undefined, which denies.
deny contains {"code": "own.too-large", "msg": msg} if {
	not fits
	msg := $`{input.model.name} may be larger than the {data.own.largest_bytes} bytes that there is room for; use a smaller model, or raise largest_bytes in data.json`
}

# Null, where the store does not say, would be less than any number.
fits if {
	is_number(input.coverage.signed_bytes)
	input.coverage.signed_bytes <= data.own.largest_bytes
}
