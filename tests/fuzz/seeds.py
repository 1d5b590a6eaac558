"""The corpus that fuzzing starts from: ``python -m tests.fuzz.seeds`` makes it again.

One sound bundle of each kind, and the public files that they verify with. The private keys are
gone when it ends, so whatever else verifies with those files was not signed by anybody.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.oms import old_format
from tests.fuzz import trusted
from tests.oms import forge
from tests.oms.forge import NOW, Json, encode
from tests.sigstore.instance import Sigstore, stamp
from tests.sigstore.timestamps import TimestampAuthority

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
TRUST = FOLDER / "trust"


def main() -> None:
    """Write corpus and trust anew."""
    bundles, trust = _made()
    shutil.rmtree(CORPUS, ignore_errors=True)
    trusted.write(CORPUS, {f"{name}.json": encode(made) for name, made in bundles.items()})
    trusted.write(TRUST, trust)


def _made() -> tuple[Mapping[str, Json], Mapping[str, bytes]]:
    payload = encode(forge.statement())
    root = forge.issue("root", start=NOW - timedelta(days=900), end=NOW + timedelta(days=900))
    middle = forge.issue("middle", root, more=[forge.CODE_SIGNING])
    leaf = forge.issue_leaf("leaf", middle, more=[forge.CODE_SIGNING])
    late = forge.issue_leaf("late", root, end=NOW - timedelta(days=1))
    clock = TimestampAuthority.make()
    sigstore = Sigstore()

    by_raw_key = forge.key_bundle(payload)
    by_raw_key["verificationMaterial"]["publicKey"] = {
        "rawBytes": forge.b64(forge.public_pem(forge.key()))
    }
    in_time = forge.certificate_bundle(payload, late)
    stamp(in_time, clock, NOW - timedelta(days=2))
    bundles = {
        "key": forge.key_bundle(payload),
        "key-in-the-bundle": by_raw_key,
        "key-shards": forge.key_bundle(encode(forge.sharded(["a:0:4", "a:4:7", "bb:c:0:2"]))),
        "key-many-names": forge.key_bundle(encode(_listing())),
        "key-unknown-members": forge.key_bundle(encode(_open())),
        "certificate": forge.certificate_bundle(payload, leaf, middle, root),
        "certificate-in-time": in_time,
        "certificate-old-format": _old(leaf, middle),
        "sigstore-rekor-v1": sigstore.sign(payload),
        "sigstore-rekor-v2": sigstore.sign(payload, rekor=2),
        "sigstore-stamped": sigstore.sign(payload, stamped=True),
    }
    return bundles, {
        trusted.KEY: forge.public_pem(forge.key()),
        trusted.ANCHORS: root.pem,
        trusted.TIMESTAMP_AUTHORITY: clock.root_pem,
        trusted.SIGSTORE: encode(sigstore.trusted_root()),
    }


def _listing() -> Json:
    """Names and ignored paths of many kinds, hashed with BLAKE3."""
    made = forge.statement(dict.fromkeys(["\u00e9", "a b", "d/e.f/g", "h,[{", "\U0001f600"], b""))
    settings = made["predicate"]["serialization"]
    settings |= {"hash_type": "blake3", "ignore_paths": ["x", "y/z", ".git", "model.sig"]}
    for entry in made["predicate"]["resources"]:
        entry["algorithm"] = "blake3"
    return made


def _open() -> Json:
    """Members that the schema does not know, where it allows them."""
    made = forge.statement()
    made["subject"][0] |= {"uri": "\u00e9\n", "extra": [{"deep": [1, -2.5e-3, True, None]}]}
    made["predicate"]["resources"][0]["extra"] = {"": ""}
    return made


def _old(leaf: forge.Party, middle: forge.Party) -> Json:
    made = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "a", "digest": {"sha256": "ab" * 32}}],
        "predicateType": "https://model_signing/Digests/v0.1",
    }
    payload = encode(made | {"predicate": {"unused": 1}})
    bundle = forge.certificate_bundle(payload, leaf, middle)
    signature = leaf.private_key.sign(old_format.encoding(payload), ec.ECDSA(hashes.SHA256()))
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = forge.b64(signature)
    return bundle


if __name__ == "__main__":
    main()
