"""Forged proofs that an entry is in a transparency log, and forged heads of the log.

Each forgery is signed validly by somebody, and everything else in its bundle is right.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.oms.forge import b64
from tests.sigstore import merkle
from tests.sigstore.instance import Rekor, Sigstore
from tests.sigstore.transparency_log import RekorV2, TransparencyLog
from tests.sigstore.trust import Json, LogKey
from tests.sigstore.verdicts import PAYLOAD, admitted, entry, proof, refused

# Both logs have keys of ECDSA, whose identifiers do not depend on the logs' names.
SIGSTORE = Sigstore(rekor_v2=RekorV2("log2026.private.example"))
LOG = SIGSTORE.rekor_v1
TILES = SIGSTORE.rekor_v2


def good(rekor: Rekor) -> tuple[Json, TransparencyLog]:
    """A good bundle, and the log that noted it."""
    bundle = SIGSTORE.sign(PAYLOAD, rekor=rekor)
    admitted(bundle, SIGSTORE)
    return bundle, LOG if rekor == 1 else TILES


def another_root(log: TransparencyLog) -> bytes:
    return hashlib.sha256(log.origin.encode()).digest()


def set_proof(
    bundle: Json, log: TransparencyLog, index: int, hashes: list[bytes], root: bytes
) -> None:
    """A proof in the tree of the same size, with a checkpoint that goes with it."""
    proof(bundle).update(
        logIndex=str(index),
        hashes=[b64(node) for node in hashes],
        rootHash=b64(root),
        checkpoint={"envelope": log.checkpoint(int(proof(bundle)["treeSize"]), root)},
    )


def of_another_entry(bundle: Json, log: TransparencyLog) -> None:
    size = int(proof(bundle)["treeSize"])
    entry(bundle)["inclusionProof"] = log.prove(int(proof(bundle)["logIndex"]) - 1, size)


def of_an_empty_tree(bundle: Json, log: TransparencyLog) -> None:
    proof(bundle)["treeSize"] = "0"
    set_proof(bundle, log, 0, [], hashlib.sha256(b"").digest())


def of_a_node(bundle: Json, log: TransparencyLog) -> None:
    """The body is hashed as if it were a node and no entry (RFC 6962, 2.1)."""
    proof(bundle)["treeSize"] = "2"
    leaf = hashlib.sha256(base64.b64decode(entry(bundle)["canonicalizedBody"])).digest()
    other = another_root(log)
    set_proof(bundle, log, 0, [other], hashlib.sha256(b"\x01" + leaf + other).digest())


def rooted_elsewhere(bundle: Json, log: TransparencyLog) -> None:
    """Proof and checkpoint agree on a root, but the hashes do not lead there."""
    hashes = [base64.b64decode(node) for node in proof(bundle)["hashes"]]
    set_proof(bundle, log, int(proof(bundle)["logIndex"]), hashes, another_root(log))


Forgery = Callable[[Json, TransparencyLog], object]

PROOFS: dict[str, Forgery] = {
    "another hash": lambda b, log: proof(b)["hashes"].__setitem__(0, b64(another_root(log))),
    "a hash less": lambda b, _: proof(b)["hashes"].pop(),
    "a hash more": lambda b, log: proof(b)["hashes"].append(b64(another_root(log))),
    "hashes in another order": lambda b, _: proof(b)["hashes"].reverse(),
    "no hashes": lambda b, _: proof(b)["hashes"].clear(),
    "another root": lambda b, log: proof(b).update(rootHash=b64(another_root(log))),
    "rooted elsewhere": rooted_elsewhere,
    "another entry": of_another_entry,
    "an empty tree": of_an_empty_tree,
    "a node": of_a_node,
    "number beyond the tree": lambda b, _: proof(b).update(logIndex=proof(b)["treeSize"]),
    "the number before": lambda b, _: proof(b).update(logIndex=str(int(proof(b)["logIndex"]) - 1)),
    "tree of one": lambda b, _: proof(b).update(treeSize="1"),
    "tree of none": lambda b, _: proof(b).update(treeSize="0"),
    "huge tree": lambda b, _: proof(b).update(treeSize=str((1 << 63) - 1)),
}


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("what", sorted(PROOFS))
def test_forged_proofs_are_refused(what: str, rekor: Rekor) -> None:
    bundle, log = good(rekor)
    genuine = copy.deepcopy(bundle)
    PROOFS[what](bundle, log)
    assert bundle != genuine
    refused(bundle, SIGSTORE)
    # The log can prove it again at any time, in a larger tree also.
    index = int(proof(genuine)["logIndex"])
    entry(bundle)["inclusionProof"] = log.prove(index, len(log.leaves))
    admitted(bundle, SIGSTORE)


def test_a_tree_of_a_known_root() -> None:
    """The hash of three entries, put together by hand: the forgeries are of right trees."""
    a, b, c = (hashlib.sha256(b"\x00" + leaf).digest() for leaf in (b"a", b"b", b"c"))
    pair = hashlib.sha256(b"\x01" + a + b).digest()
    assert merkle.root_hash([b"a", b"b", b"c"]) == hashlib.sha256(b"\x01" + pair + c).digest()
    assert merkle.inclusion_proof([b"a", b"b", b"c"], 0) == [b, c]
    assert merkle.inclusion_proof([b"a", b"b", b"c"], 2) == [pair]


# -- Checkpoints


def noted(bundle: Json, log: TransparencyLog, **differences: Any) -> str:
    """A checkpoint over the proof's root by the log, or by one with `differences`."""
    root = base64.b64decode(proof(bundle)["rootHash"])
    return dataclasses.replace(log, **differences).checkpoint(int(proof(bundle)["treeSize"]), root)


def by_the_same_hint(bundle: Json, log: TransparencyLog) -> str:
    note, _, signature = noted(bundle, log).rpartition(" ")
    forged = log.id[:4] + LogKey().sign(note.partition("\n\n")[0].encode() + b"\n")
    assert base64.b64decode(signature)[:4] == forged[:4]
    return f"{note} {b64(forged)}\n"


def over_an_earlier_tree(bundle: Json, log: TransparencyLog) -> str:
    size = int(proof(bundle)["treeSize"]) - 1
    return log.checkpoint(size, merkle.root_hash(log.leaves[:size]))


def text(bundle: Json) -> str:
    return str(proof(bundle)["checkpoint"]["envelope"])


CHECKPOINTS: dict[str, Callable[[Json, TransparencyLog], str]] = {
    "by a stranger": lambda b, log: noted(b, log, key=LogKey()),
    "by a stranger under the log's hint": by_the_same_hint,
    "by the other log": lambda b, log: noted(b, TILES if log is LOG else LOG),
    "over another root": lambda b, log: log.checkpoint(
        int(proof(b)["treeSize"]), another_root(log)
    ),
    "over an earlier tree": over_an_earlier_tree,
    "with another size afterwards": lambda b, _: text(b).replace("\n", "\n1", 1),
    "with another origin afterwards": lambda b, _: "x" + text(b),
    "with a line more afterwards": lambda b, _: text(b).replace("\n\n", "\nmore\n\n", 1),
    "unsigned": lambda b, _: text(b).partition("\n\n")[0] + "\n\n",
    "without a blank line": lambda b, _: text(b).replace("\n\n", "\n"),
    "with a short signature": lambda b, _: text(b).partition("\u2014")[0] + "\u2014 x AAAA\n",
}


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("what", sorted(CHECKPOINTS))
def test_forged_checkpoints_are_refused(what: str, rekor: Rekor) -> None:
    bundle, log = good(rekor)
    forged = CHECKPOINTS[what](bundle, log)
    proof(bundle)["checkpoint"] = {"envelope": noted(bundle, log)}
    admitted(bundle, SIGSTORE)
    assert forged != text(bundle)
    proof(bundle)["checkpoint"] = {"envelope": forged}
    refused(bundle, SIGSTORE)


@pytest.mark.parametrize("rekor", [1, 2])
def test_witnesses_may_sign_a_checkpoint_too(rekor: Rekor) -> None:
    bundle, log = good(rekor)
    alone = text(bundle)
    _, _, witness = noted(bundle, log, key=LogKey()).partition("\n\n")
    for signed in (alone + witness, alone.replace("\n\n", "\n\n" + witness)):
        proof(bundle)["checkpoint"] = {"envelope": signed}
        admitted(bundle, SIGSTORE)


# -- What ties a proof to its checkpoint, and that to the log


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_proof_is_for_a_tree_of_the_checkpoints_size(rekor: Rekor) -> None:
    bundle, log = good(rekor)
    size = int(proof(bundle)["treeSize"])
    root = base64.b64decode(proof(bundle)["rootHash"])
    proof(bundle)["checkpoint"] = {"envelope": log.checkpoint(size + 1, root)}
    refused(bundle, SIGSTORE)


def test_the_number_of_an_entry_is_proven() -> None:
    """The same hashes lead to the same root for entry 5 of 7 and for entry 9 of 11."""
    sigstore = dataclasses.replace(SIGSTORE, rekor_v2=RekorV2(TILES.origin))
    bundle = sigstore.sign(PAYLOAD, rekor=2)
    assert (proof(bundle)["logIndex"], proof(bundle)["treeSize"]) == ("5", "7")
    assert admitted(bundle, sigstore).log_index == 5
    proof(bundle).update(logIndex="9", treeSize="11")
    refused(bundle, sigstore)


def test_a_checkpoint_is_of_the_log_that_the_root_names() -> None:
    """By the right key, under another name; logs of the first version have any name they like."""
    checks: tuple[tuple[Rekor, Any], ...] = ((1, admitted), (2, refused))
    for rekor, check in checks:
        bundle, log = good(rekor)
        admitted(bundle, SIGSTORE)
        proof(bundle)["checkpoint"] = {"envelope": noted(bundle, log, origin="other.example")}
        check(bundle, SIGSTORE)
