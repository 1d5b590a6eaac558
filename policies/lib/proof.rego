# METADATA
# title: Proof
# description: |
#   What proves the signature, and since when: the digests, the transparency log, timestamps, and
#   the certificate. Times are proven by a log or a timestamp authority, never claimed.
package oms_gate.lib.proof

# METADATA
# title: Proven age
# description: |
#   Seconds since the first time at which the signature is proven to have existed; undefined without
#   one. It may be older than that, never younger: a later timestamp rejuvenates nothing.
age := input.now - min(proven)

# Clocks differ. What a clock will show only later than that proves nothing yet.
skew_seconds := 300

proven contains moment if {
	some moment in input.signature.times
	moment <= input.now + skew_seconds
}

# METADATA
# title: What of a requirement on proof is not met
# description: |
#   `hash_types`: the digests that may be signed. `proven_time`: whether the time of the signature
#   must be proven. `transparency_log`: whether the signature must be in a log. `max_age_days`: how
#   long ago it may have been made. `unexpired`: whether the certificate of the signer must still be
#   valid.
unmet(requirement) := union({
	hash_type(requirement),
	proven_time(requirement),
	transparency_log(requirement),
	max_age(requirement),
	unexpired(requirement),
})

hash_type(requirement) := {{"code": "requirement.hash-type", "msg": msg} |
	not input.signature.hash_type in requirement.hash_types
	wanted := concat(" or ", requirement.hash_types)
	msg := $`the signature is over {input.signature.hash_type} digests, but the requirement "{requirement.name}" wants {wanted}; have the model signed again with --hash {requirement.hash_types[0]}`
}

proven_time(requirement) := {{"code": "requirement.time", "msg": msg} |
	requirement.proven_time == true
	not age
	msg := $`{unproven}, but the requirement "{requirement.name}" wants its time proven; {remedy}`
}

default unproven := "nothing proves when the model was signed"

unproven := "the model was signed in the future by the gate's clock" if count(input.signature.times) > 0

default remedy := "have it signed again with a timestamp (oms-gate sign --timestamp-url) of one of the gate's timestamp_authorities"

remedy := "set the clock" if count(input.signature.times) > 0

transparency_log(requirement) := {{"code": "requirement.log", "msg": msg} |
	requirement.transparency_log == true
	not is_number(input.signature.log_index)
	msg := $`the signature is in no transparency log, which the requirement "{requirement.name}" wants; have the model signed with Sigstore`
}

max_age(requirement) := {{"code": "requirement.age", "msg": msg} |
	days := requirement.max_age_days
	not is_within(days)
	msg := $`{shown_age}, but the requirement "{requirement.name}" wants that within {whole(days)} days; {age_remedy}`
}

# Without a proven time it is of no age that would do.
is_within(days) if age <= days * 86400

shown_age := $`the model was signed {floor(age / 86400)} days ago or before` if {
	age
} else := unproven

age_remedy := "use a newer release, or have it signed again" if {
	age
} else := remedy

# 7.0 is 7.
whole(number) := floor(number) if {
	floor(number) == number
} else := number

unexpired(requirement) := {{"code": "publisher.expired-signer", "msg": msg} |
	requirement.unexpired == true
	not input.signer.expired_at == null
	msg := $`the signer's certificate expired at {input.signer.expired_at}, which the requirement "{requirement.name}" does not let pass; have the model signed again`
}
