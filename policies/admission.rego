# METADATA
# title: Admission of models
# description: |
#   Whether a model may be used: its signer is one whom a publisher rule names for that model, and
#   the signature covers what a loader reads. The rules are at data.oms_gate.publishers, a list.
#
#   In a dataset and in a Space (hf://datasets/.., hf://spaces/..) documents and images have to be
#   signed too: there they are what is loaded. So have documents in the folder of a SKILL.md: agents
#   read them.
#
#   Everything here is positive: what is missing, misspelt or unknown leaves `allow` false. Further
#   files of this package may add to `deny`, `warn` and `annotations`. No builtin needs a host.
package oms_gate.admission

default decision := {
	"allow": false,
	"deny": [{
		"code": "policy.error",
		"msg": "the input document is not of the schema oms-gate/input/v1; use the policy that came with this gate",
	}],
	"warn": [],
	"annotations": {},
}

decision := object.union(
	{"allow": allow, "deny": deny, "warn": warn, "annotations": annotations},
	requirement,
) if {
	input.schema == "oms-gate/input/v1"
}

default allow := false

allow if {
	count(trusting) > 0
	input.coverage.signed > 0
	is_array(input.coverage.missing)
	is_array(input.coverage.unsigned)
	is_array(input.coverage.ignored)
	count(input.coverage.missing) == 0
	count(refused_unsigned) == 0
	count(refused_ignored) == 0
	count(deny) == 0
}

# How far the gate has to look: as far as the strictest of the rules that name the signer says, those
# too that want a certificate that is still valid.
requirement := {"require": "bytes"} if {
	"bytes" in assurances
} else := {"require": "declared"} if {
	"declared" in assurances
} else := {}

assurances contains rule.assurance if {
	some rule in (trusting | outlived)
}

annotations["publisher"] := concat(", ", {rule.name | some rule in trusting}) if count(trusting) > 0

annotations["format"] := input.signature.format if input.signature.format != "v1.0"

annotations["unsorted"] := "true" if input.signature.sorted == false

### Who may sign what

# The publisher rules for this model. The rule for a folder is one for everything below it.
covering contains rule if {
	some rule in data.oms_gate.publishers
	some pattern in rule.models
	startswith(input.model.name, split(pattern, "*")[0])
	regex.match(concat("", [`\A(?:`, glob(pattern), `)(?s:/.*)?\z`]), input.model.name)
}

# Those of them that name the signer.
trusting contains rule if {
	some rule in covering
	some signer in rule.signers
	names(signer)
	in_time(signer)
}

# A certificate that has expired since it signed is one that the rule's signer must allow.
in_time(_) if input.signer.expired_at == null

in_time(signer) if {
	is_string(input.signer.expired_at)
	signer.allow_expired == true
}

names(signer) if {
	signer.method == "sigstore"
	input.signer.method == "sigstore"
	input.signer.root.name == signer.root
	is_string(signer.issuer)
	input.signer.issuer == signer.issuer
	identifies(signer)
}

names(signer) if {
	signer.method == "certificate"
	input.signer.method == "certificate"
	input.signer.root.name == signer.root
	identifies(signer)
	speaks_of_subjects(wanted(signer)) == goes_by_subject
}

names(signer) if {
	signer.method == "certificate"
	input.signer.method == "certificate"
	input.signer.root.name == signer.root
	signer.any_identity == true
}

names(signer) if {
	signer.method == "key"
	input.signer.method == "key"
	input.signer.root.name == signer.key
}

identifies(signer) if input.signer.identity == signer.identity

# A pattern must be one by itself: "a)|(b" would break out of the anchors.
identifies(signer) if {
	regex.is_valid(signer.identity_pattern)
	regex.match(concat("", [`\A(?:`, signer.identity_pattern, `)\z`]), input.signer.identity)
}

# A certificate without an alternative name goes by its subject. "CN=me@example.com" must not pass
# for the name that ".*@example.com" means, nor an alternative name for a subject.
goes_by_subject := input.signer.identity == input.signer.subject

# A subject has a "=", and so may a URI.
speaks_of_subjects(text) if {
	contains(text, "=")
	not regex.match(`\A[A-Za-z][A-Za-z0-9+.-]*:`, text)
} else := false

wanted(signer) := signer.identity_pattern

wanted(signer) := signer.identity if not signer.identity_pattern

deny contains {"code": "publisher.unknown", "msg": msg} if {
	count(covering) == 0
	msg := $`no publisher rule covers {input.model.name}, which was signed by {found}; if that is its publisher, add a rule to "publishers" in gate.yaml (for an OPA server, to data.oms_gate.publishers){local_copy}`
}

# How the Hub's client lays out its cache: a download by another name than the model's own.
local_copy := " (a rule for hf://... does not cover its local copy; add its path to the rule's models)" if {
	regex.match(`\Afile://.*/(?:models|datasets|spaces)--[^/]+/snapshots/[0-9a-f]{40}(?:/.*)?\z`, input.model.name)
} else := ""

deny contains {"code": "publisher.wrong-signer", "msg": msg} if {
	count(covering) > 0
	count(trusting) == 0
	count(outlived) == 0
	rules := concat(", ", {rule.name | some rule in covering})
	signers := concat(" or ", {description(signer) | some rule in covering; some signer in rule.signers})
	msg := $`{input.model.name} was signed by {found}, but its publisher rule ({rules}) names only {signers}{by_subject}; take the model from its publisher, or name this signer in gate.yaml`
}

by_subject := ` (a certificate without an alternative name goes by its subject, for which an identity or a pattern has to hold a "=")` if {
	input.signer.method == "certificate"
	goes_by_subject
	some rule in covering
	some signer in rule.signers
	signer.method == "certificate"
	not speaks_of_subjects(wanted(signer))
} else := ""

# The rules that name the signer, but want a certificate that is still valid.
outlived contains rule if {
	some rule in covering
	some signer in rule.signers
	names(signer)
	not in_time(signer)
}

deny contains {"code": "publisher.expired-signer", "msg": msg} if {
	count(trusting) == 0
	count(outlived) > 0
	rules := concat(", ", {rule.name | some rule in outlived})
	msg := $`{input.model.name} was signed by {found} while the certificate was valid, but that expired at {input.signer.expired_at}; have the model signed again, or let allow_expired of the signer in the publisher rule ({rules}) accept it`
}

# The signer found, in the words used for those expected.
found := description(object.union(input.signer, {
	"root": input.signer.root.name,
	"key": input.signer.root.name,
}))

description(signer) := $`the key "{signer.key}"` if {
	signer.method == "key"
} else := $`{holder(signer)} of the issuer "{signer.issuer}" (sigstore, root "{signer.root}")` if {
	signer.method == "sigstore"
} else := $`{holder(signer)} (certificate, root "{signer.root}")` if {
	signer.method == "certificate"
}

holder(signer) := $`"{signer.identity}"` if {
	signer.identity
} else := $`anyone who matches "{signer.identity_pattern}"` if {
	signer.identity_pattern
} else := "anyone"

### What the signature covers

# No loader reads these.
inert contains "cache"

inert contains "signature"

inert contains "vcs"

# What accompanies a model is the payload of a dataset and of a Space: images are examples, and the
# head of README.md says which data or which program to load.
inert contains kind if {
	some kind in ["document", "image"]
	name := input.model.name
	every prefix in ["hf://datasets/", "hf://spaces/"] {
		not startswith(name, prefix)
	}
}

# A skill sends its agent to the texts beside it.
instructs(file) if {
	count(skills) > 0
	file.kind in {"document", "other"}
	folders := split(lower(file.path), "/")
	some depth in numbers.range(0, count(folders) - 1)
	concat("/", array.slice(folders, 0, depth)) in skills
}

# The folders of skills; that of the whole model has no name.
skills contains "" if {
	some list in ["signed_files", "unsigned", "ignored"]
	some file in input.coverage[list]
	lower(file.path) == "skill.md"
}

skills contains trim_suffix(path, "/skill.md") if {
	some list in ["signed_files", "unsigned", "ignored"]
	some file in input.coverage[list]
	path := lower(file.path)
	endswith(path, "/skill.md")
}

refused_unsigned := [file | some file in input.coverage.unsigned; not may_be_unsigned(file)]

may_be_unsigned(file) if {
	file.kind in inert
	not instructs(file)
}

may_be_unsigned(file) if regex.match(allowed_paths.allow_unsigned, file.path)

noteworthy_ignored := [file | some file in input.coverage.ignored; not may_be_ignored(file)]

# The bundle itself, and a download client's bookkeeping.
may_be_ignored(file) if file.scope in {"cache", "signature"}

may_be_ignored(file) if {
	file.kind in inert
	not instructs(file)
}

# Below .git and .github, nobody could have signed documents, images and what nobody knows.
may_be_ignored(file) if {
	file.scope == "default"
	file.kind in {"document", "image", "other"}
}

may_be_ignored(file) if regex.match(allowed_paths.allow_ignored, file.path)

refused_ignored := [file | some file in noteworthy_ignored; not is_only_warned_of(file)]

is_only_warned_of(file) if {
	file.scope == "signer"
	file.kind == "other"
	not instructs(file)
}

# Workflows and the like, but instructions to an agent as well.
is_only_warned_of(file) if {
	file.scope == "default"
	file.kind in {"config", "tokenizer"}
}

# One expression for all the paths that the trusting rules allow; none where they allow none.
allowed_paths[permission] := concat("", [`\A(?:`, concat("|", globs), `)\z`]) if {
	some permission in ["allow_ignored", "allow_unsigned"]
	globs := {glob(pattern) | some rule in trusting; some pattern in rule[permission]}
	count(globs) > 0
}

deny contains {"code": "coverage.missing", "msg": "no file of the model is signed; sign the model itself"} if {
	input.coverage.signed == 0
}

deny contains finding if {
	missing := [{"path": path} | some path in input.coverage.missing]
	some finding in findings("coverage.missing", missing, "is signed but not there; restore it, or sign the model as it is now")
}

deny contains finding if {
	some finding in findings("coverage.unsigned", refused_unsigned, "is not signed although a loader may read it; sign it, remove it, or let allow_unsigned of the publisher rule name it")
}

deny contains finding if {
	files := [file | some file in refused_ignored; not file.scope == "default"]
	some finding in findings("coverage.ignored", files, "was left out of the signature by its signer although a loader may read it; sign it, remove it, or let allow_ignored of the publisher rule name it")
}

deny contains finding if {
	files := [file | some file in refused_ignored; file.scope == "default"]
	some finding in findings("coverage.ignored", files, "is where the format signs nothing (.git, .github) although a loader may read it; move it, remove it, or let allow_ignored of the publisher rule name it")
}

warn contains finding if {
	some scope, problem in {
		"signer": "was left out of the signature by its signer; make sure that nothing reads it",
		"default": "is where the format signs nothing (.git, .github); make sure that no loader and no agent reads it",
	}
	files := [file | some file in noteworthy_ignored; file.scope == scope; is_only_warned_of(file)]
	some finding in findings("coverage.ignored", files, problem)
}

# Twenty files by name, the others by their number.
findings(code, files, problem) := array.concat(
	[{"code": code, "msg": msg, "path": file.path} |
		some file in array.slice(files, 0, 20)
		msg := $`{file.path} {problem}`
	],
	[{"code": code, "msg": msg} |
		more := count(files) - 20
		more > 0
		msg := $`the same goes for {more} more files: each {problem}`
	],
)

### Globs

# The regular expression of a glob: "*" stays within a segment, "**" crosses segments, and every
# other character stands for itself.
glob(pattern) := concat("(?s:.*)", [concat("[^/]*", [literal(text) | some text in split(part, "*")]) |
	some part in split(pattern, "**")
])

literal(text) := concat("", [`\Q`, replace(text, `\E`, `\E\\E\Q`), `\E`])
