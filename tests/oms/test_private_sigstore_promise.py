"""Forged promises of a transparency log: when it took an entry in, and under which number.

Each forgery is signed validly by somebody, and everything else in its bundle is right.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.oms.forge import NOW, b64
from tests.sigstore.instance import Rekor, Sigstore, stamp
from tests.sigstore.transparency_log import RekorV1, canonical
from tests.sigstore.trust import Json
from tests.sigstore.verdicts import AT, PAYLOAD, admitted, entry, refused, timestamps

SIGSTORE = Sigstore()
LOG = SIGSTORE.rekor_v1
TILES = SIGSTORE.rekor_v2
STRANGER = RekorV1(LOG.origin)

Forgery = Callable[[Json], object]


def good(rekor: Rekor = 1) -> Json:
    bundle = SIGSTORE.sign(PAYLOAD, rekor=rekor)
    admitted(bundle, SIGSTORE)
    return bundle


def promise(log: RekorV1 = LOG, **said: Any) -> Forgery:
    """A promise by a log over an entry that differs in what is said."""

    def forge_it(bundle: Json) -> None:
        promised = log.promised(copy.deepcopy(entry(bundle)) | said)
        entry(bundle)["inclusionPromise"] = promised["inclusionPromise"]

    return forge_it


def promise_over(change: Callable[[Json], Json]) -> Forgery:
    """A promise by the right log over other JSON than the canonical one."""

    def forge_it(bundle: Json) -> None:
        made = entry(bundle)
        said = {
            "body": made["canonicalizedBody"],
            "integratedTime": int(made["integratedTime"]),
            "logID": base64.b64decode(made["logId"]["keyId"]).hex(),
            "logIndex": int(made["logIndex"]),
        }
        signature = LOG.key.sign(canonical(change(said)))
        made["inclusionPromise"] = {"signedEntryTimestamp": b64(signature)}

    return forge_it


PROMISES: dict[str, Forgery] = {
    "by a stranger": promise(STRANGER),
    "by the key of another trusted log": promise(dataclasses.replace(LOG, key=TILES.key)),
    "of another time": promise(integratedTime=str(int(NOW.timestamp()) + 1)),
    "of another number": promise(logIndex="7"),
    "of another log": promise(logId={"keyId": b64(TILES.id)}),
    "of another body": promise(canonicalizedBody=b64(b"{}")),
    "with numbers as text": promise_over(lambda said: said | {"logIndex": str(said["logIndex"])}),
    "with a member more": promise_over(lambda said: said | {"more": 1}),
}


@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize("what", sorted(PROMISES))
def test_forged_promises_are_refused(what: str, stamped: bool) -> None:
    """Also where a timestamp proves the time, and a promise is not needed."""
    bundle = good()
    if stamped:
        stamp(bundle, SIGSTORE.timestamp_authority)
    for again in (promise(), promise_over(dict)):
        again(bundle)
        admitted(bundle, SIGSTORE)
    PROMISES[what](bundle)
    refused(bundle, SIGSTORE)


def test_the_number_in_the_whole_log_is_as_promised() -> None:
    bundle = good()
    entry(bundle)["logIndex"] = "7"
    refused(bundle, SIGSTORE)
    promise()(bundle)
    assert admitted(bundle, SIGSTORE).log_index == 7


def test_no_promise_means_no_time() -> None:
    bundle = good()
    del entry(bundle)["inclusionPromise"]
    refused(bundle, SIGSTORE)
    stamp(bundle, SIGSTORE.timestamp_authority)
    entry(bundle)["integratedTime"] = "1"
    assert [time.source for time in admitted(bundle, SIGSTORE).times] == ["timestamp-authority"]


def test_a_log_in_tiles_proves_no_time() -> None:
    bundle = good(2)
    stamps = timestamps(bundle).copy()
    timestamps(bundle).clear()
    refused(bundle, SIGSTORE)
    del bundle["verificationMaterial"]["timestampVerificationData"]
    refused(bundle, SIGSTORE)
    bundle["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
    admitted(bundle, SIGSTORE)


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_promise_of_no_time_is_refused(rekor: Rekor) -> None:
    """A timestamp proves the time; but what is there must be right."""
    bundle = SIGSTORE.sign(PAYLOAD, rekor=rekor, stamped=True)
    entry(bundle).pop("integratedTime", None)
    entry(bundle)["inclusionPromise"] = {"signedEntryTimestamp": b64(STRANGER.key.sign(b"x"))}
    refused(bundle, SIGSTORE)


@pytest.mark.parametrize("stamped", [False, True])
def test_a_log_in_tiles_cannot_promise_a_time(stamped: bool) -> None:
    """Not even where the key is trusted for it: an entry of version 2 has no integrated time."""
    bundle = good(2)
    if not stamped:
        timestamps(bundle).clear()
    said = entry(bundle) | {"integratedTime": str(int(NOW.timestamp()))}
    entry(bundle).update(dataclasses.replace(LOG, key=TILES.key).promised(said))
    refused(bundle, SIGSTORE)


# -- When the log took it in


@pytest.mark.parametrize(
    ("seconds", "valid"), [(-1, False), (0, True), (600, True), (601, False), (1 << 33, False)]
)
def test_the_certificate_is_valid_when_the_log_takes_it_in(seconds: int, valid: bool) -> None:
    """Right timestamp, right promise; the certificate lives for ten minutes."""
    bundle = SIGSTORE.sign(PAYLOAD, stamped=True)
    entry(bundle)["integratedTime"] = str(int(NOW.timestamp()) + seconds)
    promise()(bundle)
    (admitted if valid else refused)(bundle, SIGSTORE)


@pytest.mark.parametrize("rekor", [1, 2])
def test_nothing_is_signed_in_the_future(rekor: Rekor) -> None:
    admitted(SIGSTORE.sign(PAYLOAD, rekor=rekor, at=AT), SIGSTORE)
    refused(SIGSTORE.sign(PAYLOAD, rekor=rekor, at=AT + timedelta(days=1)), SIGSTORE)


# -- The log


class Alias(RekorV1):
    """The log under an identifier that is nobody's."""

    @property
    def id(self) -> bytes:
        return hashlib.sha256(b"nobody").digest()


def test_the_log_is_one_of_the_root() -> None:
    """Right promise and checkpoint by a trusted key, for a log that the root does not name."""
    for log, check in ((RekorV1, admitted), (Alias, refused)):
        changed = dataclasses.replace(SIGSTORE, rekor_v1=log(LOG.origin, LOG.key))
        check(changed.sign(PAYLOAD), SIGSTORE)


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_entry_is_of_the_log_that_it_names(rekor: Rekor) -> None:
    """The names of the two logs are swapped, in the promise too."""
    bundle = good(rekor)
    own, other = (LOG, TILES) if rekor == 1 else (TILES, LOG)
    entry(bundle)["logId"] = {"keyId": b64(other.id)}
    if rekor == 1:
        promise()(bundle)
    refused(bundle, SIGSTORE)
    entry(bundle)["logId"] = {"keyId": b64(own.id)}
    if rekor == 1:
        promise()(bundle)
    admitted(bundle, SIGSTORE)
