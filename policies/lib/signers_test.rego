package oms_gate.lib.signers_test

import data.oms_gate.lib.samples_test as samples
import data.oms_gate.lib.signers

names(rule, signer) if signers.names(rule, signer)

by_pattern(pattern) := {
	"method": "sigstore",
	"identity_pattern": pattern,
	"issuer": "https://issuer.example",
	"root": "public-good",
}

any_certificate := {"method": "certificate", "root": "ca", "any_identity": true}

signer(members) := object.union(samples.signer, members)

test_a_sigstore_identity if {
	names(samples.sigstore, samples.signer)
	every other in [
		{"identity": "release@example.com.evil.test"},
		{"identity": "Release@example.com"},
		{"identity": "release@example.com\n"},
		{"issuer": "https://issuer.example/"},
		{"issuer": null},
		{"method": "key"},
		{"method": "certificate"},
		{"root": {"name": "staging"}},
	] {
		not names(samples.sigstore, signer(other))
	}
}

test_no_issuer_is_nobodys if {
	not names(object.union(samples.sigstore, {"issuer": null}), signer({"issuer": null}))
}

test_a_pattern_is_anchored_and_whole if {
	names(by_pattern(`.*@example\.com`), samples.signer)
	names(by_pattern(`x|release@example\.com`), samples.signer)
	every pattern in [`example`, `.*@example`, `elease@example.com`, `release@example.com.+`, `x|release`, `x)|(.*`, `(`, `\Qrelease`] {
		not names(by_pattern(pattern), samples.signer)
	}
	not names(by_pattern(`release@example\.com`), signer({"identity": "release@example.com\n"}))
	not names(by_pattern(`release@example\.com`), signer({"identity": "release@exampleXcom"}))
}

test_a_certificate_is_known_by_its_name_or_its_subject if {
	name := samples.certificate("release@example.com", "CN=whoever")
	subject := samples.certificate("CN=release@example.com", "CN=release@example.com")
	by_name := {"method": "certificate", "root": "ca", "identity_pattern": `.*release@example\.com`}
	names(by_name, name)
	by_subject := {"method": "certificate", "root": "ca", "identity": "CN=release@example.com"}
	names(by_subject, subject)
	not names(by_name, subject)
	not names(by_subject, samples.certificate("CN=release@example.com", "CN=whoever"))
	not names(object.union(by_name, {"root": "other"}), name)
}

test_a_uri_may_hold_what_a_subject_does if {
	uri := "https://ci.example.com/sign?team=models"
	every identity in [{"identity": uri}, {"identity_pattern": `https://ci\.example\.com/.*\?team=models`}] {
		rule := object.union({"method": "certificate", "root": "ca"}, identity)
		names(rule, samples.certificate(uri, "CN=whoever"))
		not names(rule, samples.certificate(uri, uri))
	}
}

test_anyone_under_a_root_is_under_that_root if {
	anyone := samples.certificate("anyone@example.com", "CN=anyone")
	names(any_certificate, anyone)
	not names(object.union(any_certificate, {"root": "other"}), anyone)
	not names(object.union(any_certificate, {"any_identity": false}), anyone)
	not names({"method": "certificate", "root": "ca"}, anyone)
}

test_a_key_is_known_by_its_root if {
	names({"method": "key", "key": "release"}, samples.key("release"))
	not names({"method": "key", "key": "sha256:cd"}, samples.key("release"))
	not names({"method": "key", "key": "release"}, samples.key("release2"))
}

test_a_rule_is_for_its_own_method if {
	whole := {
		"identity": "release@example.com",
		"any_identity": true,
		"issuer": "https://issuer.example",
		"root": "public-good",
		"key": "public-good",
	}
	every method, others in {
		"sigstore": ["certificate", "key", "first-use", "other"],
		"certificate": ["sigstore", "key", "first-use", "other"],
		"key": ["sigstore", "certificate", "first-use", "other"],
	} {
		names(object.union(whole, {"method": method}), signer({"method": method}))
		every other in others {
			not names(object.union(whole, {"method": other}), signer({"method": method}))
		}
	}
}

test_a_certificate_that_has_expired_needs_to_be_allowed if {
	signers.in_time(any_certificate, samples.signer)
	expired := signer({"expired_at": "2026-01-02T03:04:05Z"})
	lenient := object.union(any_certificate, {"allow_expired": true})
	signers.in_time(lenient, samples.signer)
	signers.in_time(lenient, expired)
	not signers.in_time(any_certificate, expired)
	not signers.in_time(object.union(any_certificate, {"allow_expired": false}), expired)
	not signers.in_time(lenient, object.remove(samples.signer, ["expired_at"]))
	not signers.in_time(lenient, signer({"expired_at": 7}))
}

test_who_goes_by_the_subject if {
	signers.goes_by_subject(samples.certificate("CN=a", "CN=a"))
	not signers.goes_by_subject(samples.certificate("a", "CN=a"))
	not signers.goes_by_subject({})
}

test_what_speaks_of_subjects if {
	signers.speaks_of_subjects("CN=a")
	not signers.speaks_of_subjects("a@example.com")
	not signers.speaks_of_subjects("spiffe://a?b=c")
	signers.speaks_of_subjects("x(y):CN=a")
}

test_signers_are_described if {
	signers.description({"method": "key", "key": "k"}) == `the key "k"`
	signers.description(samples.sigstore) == `"release@example.com" of the issuer "https://issuer.example" (sigstore, root "public-good")`
	signers.description(by_pattern("a.*")) == `anyone who matches "a.*" of the issuer "https://issuer.example" (sigstore, root "public-good")`
	signers.description(any_certificate) == `anyone (certificate, root "ca")`
	signers.description({"method": "first-use"}) == "whoever signs it first"
	signers.found(samples.key("k")) == `the key "k"`
	signers.found(samples.certificate("a", "CN=a")) == `"a" (certificate, root "ca")`
}
