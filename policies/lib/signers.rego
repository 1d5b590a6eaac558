# METADATA
# title: Signers
# description: |
#   Whether a signer of a publisher rule names somebody who signed, and what people call either. A
#   rule's signer is as in gate.yaml; one who signed is as in the input (`input.signer`).
package oms_gate.lib.signers

# METADATA
# title: A signer is named
# description: Whether a rule's signer names one who signed.
# scope: document
names(rule, signer) if {
	rule.method == "sigstore"
	signer.method == "sigstore"
	signer.root.name == rule.root
	is_string(rule.issuer)
	signer.issuer == rule.issuer
	identifies(rule, signer)
}

names(rule, signer) if {
	rule.method == "certificate"
	signer.method == "certificate"
	signer.root.name == rule.root
	identifies(rule, signer)
	speaks_of_subjects(wanted(rule)) == goes_by_subject(signer)
}

names(rule, signer) if {
	rule.method == "certificate"
	signer.method == "certificate"
	signer.root.name == rule.root
	rule.any_identity == true
}

names(rule, signer) if {
	rule.method == "key"
	signer.method == "key"
	signer.root.name == rule.key
}

identifies(rule, signer) if signer.identity == rule.identity

# A pattern must be one by itself: "a)|(b" would break out of the anchors. An open \Q takes them in.
identifies(rule, signer) if {
	regex.is_valid(rule.identity_pattern)
	anchored := concat("", [`\A(?:`, rule.identity_pattern, `)\z`])
	regex.is_valid(anchored)
	regex.match(anchored, signer.identity)
}

# METADATA
# title: A signer is in time
# description: |
#   Whether a rule's signer accepts how the certificate of one who signed stands in time: one that
#   has expired since is one that the rule must allow.
# scope: document
in_time(_, signer) if signer.expired_at == null

in_time(rule, signer) if {
	is_string(signer.expired_at)
	rule.allow_expired == true
}

# METADATA
# title: A signer goes by the subject
# description: |
#   Whether one who signed has no name but the certificate's subject. "CN=me@example.com" must not
#   pass for the name that ".*@example.com" means, nor an alternative name for a subject.
# scope: document
default goes_by_subject(_) := false

goes_by_subject(signer) if signer.identity == signer.subject

# METADATA
# title: A text is about subjects
# description: Whether an identity or a pattern is about subjects. These have a "=", and so may a URI.
# scope: document
default speaks_of_subjects(_) := false

speaks_of_subjects(text) if {
	contains(text, "=")
	not regex.match(`\A[A-Za-z][A-Za-z0-9+.-]*:`, text)
}

# METADATA
# title: Wanted identity
# description: The identity of a rule's signer, or the pattern.
# scope: document
wanted(rule) := rule.identity_pattern

wanted(rule) := rule.identity if not rule.identity_pattern

# METADATA
# title: Description of one who signed
# description: One who signed, in the words used for those of rules.
found(signer) := description(object.union(signer, {
	"root": signer.root.name,
	"key": signer.root.name,
}))

# METADATA
# title: Description of a signer
# description: A rule's signer, in words.
# scope: document
description(rule) := $`the key "{rule.key}"` if {
	rule.method == "key"
} else := $`{holder(rule)} of the issuer "{rule.issuer}" (sigstore, root "{rule.root}")` if {
	rule.method == "sigstore"
} else := $`{holder(rule)} (certificate, root "{rule.root}")` if {
	rule.method == "certificate"
} else := "whoever signs it first" if {
	rule.method == "first-use"
}

holder(rule) := $`"{rule.identity}"` if {
	rule.identity
} else := $`anyone who matches "{rule.identity_pattern}"` if {
	rule.identity_pattern
} else := "anyone"
