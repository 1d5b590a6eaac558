"""Reading a model in S3 from its current release, whatever the pointer to it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import ReasonCode, UsageError
from oms_gate.errors import StoreError
from oms_gate.reference import RELEASES, Reference
from oms_gate.stores import Snapshot, open_store
from oms_gate.stores.s3_releases import POINTER, Shortened, new_release
from tests import models
from tests.delivery.pulling import codes, signed, tree
from tests.publish.on_s3 import Place

FIRST = "20260101T000000Z-0123456789abcdef-00000001"
SECOND = "20260102T000000Z-0123456789abcdef-00000002"


def pointer(release: str = FIRST) -> bytes:
    return json.dumps({"schema": "oms-gate/release/v1", "release": release}).encode()


def snapshot(place: Place, url: str | None = None) -> Snapshot:
    reference = Reference.parse(url or place.url)
    return open_store(reference, place.gate.stores, place.gate.limits).snapshot(reference)


def put_release(
    place: Place, key: ec.EllipticCurvePrivateKey, release: str = FIRST, **files: bytes
) -> dict[str, bytes]:
    content = signed(key, {**models.FILES, **files})
    for path, file in content.items():
        place.put(f"{RELEASES}/{release}/{path}", file)  # type: ignore[arg-type]
    return content  # type: ignore[return-value]


def test_the_current_release_is_the_model(
    place: Place, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    first = put_release(place, key)
    put_release(place, key, SECOND, extra=b"2")
    place.put(POINTER, pointer())
    place.put("evil.py", b"not of any release")
    verdict = place.verdict()
    assert verdict.admitted, verdict.reasons
    # Rules that name the model count for its releases.
    assert verdict.model.name == place.url
    assert verdict.model.url == f"{place.url}/{RELEASES}/{FIRST}"
    assert place.gate.check(verdict.model.url).admitted
    place.gate.pull(place.url, tmp_path / "pulled")
    assert tree(tmp_path / "pulled") == first
    place.put(POINTER, pointer(SECOND))
    assert place.gate.check(place.url).model.url.endswith(SECOND)


def test_it_costs_one_request(place: Place, key: ec.EllipticCurvePrivateKey) -> None:
    files = put_release(place, key)
    place.put(POINTER, pointer())
    place.s3.clear()
    snapshot(place)
    methods = [record.method for record in place.s3.requests]
    # The pointer, one page of the listing, and each file's checksum.
    assert sorted(methods) == ["GET"] * 2 + ["HEAD"] * len(files)
    place.s3.clear()
    snapshot(place, f"{place.url}/{RELEASES}/{FIRST}")
    assert len(place.s3.requests) == 1 + len(files)


HOSTILE = {
    "empty": b"",
    "no JSON": b"{",
    "a list": json.dumps([["schema", "oms-gate/release/v1"], ["release", FIRST]]).encode(),
    "a text": json.dumps(FIRST).encode(),
    "another schema": json.dumps({"schema": "oms-gate/release/v2", "release": FIRST}).encode(),
    "no schema": json.dumps({"release": FIRST}).encode(),
    "one member more": json.dumps(
        {"schema": "oms-gate/release/v1", "release": FIRST, "more": 1}
    ).encode(),
    "twins": b'{"schema": "oms-gate/release/v1", "release": "%s", "release": "%s"}'
    % (SECOND.encode(), FIRST.encode()),
    "twins of two": b'{"release": "%s", "release": "%s"}' % (SECOND.encode(), FIRST.encode()),
    "a number": b'{"schema": "oms-gate/release/v1", "release": 1}',
    "up": pointer("../other"),
    "nothing": pointer(""),
    "another folder": pointer("other"),
    "a folder below": pointer(f"{FIRST}/sub"),
    "a line": pointer(f"{FIRST}\n"),
    "other digits": pointer(FIRST.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}")),
    "upper case": pointer(FIRST.upper()),
    "UTF-16": pointer().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + pointer(),
    "no UTF-8": pointer() + b"\xff",
    "too long": pointer() + b" " * 1024,
    "deep": b"[" * 1000,
}


def test_a_pointer_that_is_none_is_never_passed_over(
    place: Place, key: ec.EllipticCurvePrivateKey
) -> None:
    """Beside it there is a model that is signed, and so are a release and another folder."""
    put_release(place, key)
    put_release(place, key, "other")
    for path, content in signed(key).items():
        place.put(path, content)  # type: ignore[arg-type]
    for name, content in HOSTILE.items():
        place.put(POINTER, content)
        with pytest.raises(StoreError) as caught:
            snapshot(place)
        assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL, name
    assert codes(place.verdict()) == [ReasonCode.STORE_PROTOCOL]


def test_white_space_and_order_do_not_matter(place: Place, key: ec.EllipticCurvePrivateKey) -> None:
    """Somebody may write it by hand, to go back to an older release."""
    put_release(place, key)
    document = {"release": FIRST, "schema": "oms-gate/release/v1"}
    place.put(POINTER, json.dumps(document, indent=2).encode() + b"\n")
    assert place.verdict().admitted


def test_a_release_that_is_not_there(place: Place, key: ec.EllipticCurvePrivateKey) -> None:
    put_release(place, key)
    for path, content in signed(key).items():
        place.put(path, content)  # type: ignore[arg-type]
    place.put(POINTER, pointer(SECOND))
    with pytest.raises(StoreError) as caught:
        snapshot(place)
    assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL
    assert POINTER in str(caught.value)


def test_releases_are_no_files_of_a_model_without_a_pointer(
    place: Place, key: ec.EllipticCurvePrivateKey
) -> None:
    """As when its first release is on its way: the model is still the one before."""
    put_release(place, key)
    with pytest.raises(StoreError) as caught:
        snapshot(place)
    assert caught.value.reason.code is ReasonCode.STORE_NOT_FOUND
    for path, content in signed(key).items():
        place.put(path, content)  # type: ignore[arg-type]
    assert place.verdict().admitted
    # What only looks so is one.
    for path in (f"{RELEASES}/code.py", f"sub/{POINTER}", f"sub/{RELEASES}/{FIRST}/code.py"):
        place.put(path, b"1")
    assert set(snapshot(place).files) == {
        *signed(key),
        f"{RELEASES}/code.py",
        f"sub/{POINTER}",
        f"sub/{RELEASES}/{FIRST}/code.py",
    }


def test_a_release_is_followed_by_no_other(place: Place, key: ec.EllipticCurvePrivateKey) -> None:
    """Whoever may write into a release only cannot lead its readers elsewhere."""
    put_release(place, key)
    place.put(f"{RELEASES}/{FIRST}/{POINTER}", pointer(SECOND))
    place.put(f"{RELEASES}/{FIRST}/{RELEASES}/{SECOND}/code.py", b"1")
    place.put(POINTER, pointer())
    assert set(codes(place.verdict())) == {ReasonCode.COVERAGE_UNSIGNED}
    listing = snapshot(place, f"{place.url}/{RELEASES}/{FIRST}")
    assert {POINTER, f"{RELEASES}/{SECOND}/code.py"} <= set(listing.files)


def test_a_release_is_never_written_to(place: Place, key: ec.EllipticCurvePrivateKey) -> None:
    put_release(place, key)
    place.put(POINTER, pointer())
    before = place.objects()
    for url in (place.url, f"{place.url}/{RELEASES}/{FIRST}"):
        with pytest.raises(UsageError, match="is a release, which never changes"):
            snapshot(place, url).write("model.sig", b"another", message="Sign")
    assert place.objects() == before


def test_a_model_that_is_released_while_it_is_signed(
    place: Place, key: ec.EllipticCurvePrivateKey
) -> None:
    place.put("w.safetensors", b"1")
    listing = snapshot(place)
    put_release(place, key)
    place.put(POINTER, pointer())
    with pytest.raises(StoreError) as caught:
        listing.write("model.sig", b"signature", message="Sign")
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_what_the_name_of_a_release_says() -> None:
    digest = "0123456789abcdef" * 4
    first = new_release(digest, None)
    at = datetime.strptime(first[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    second = new_release(digest, first)
    assert second > first
    assert len({new_release(digest, None) for _ in range(100)}) == 100
    # Also where another machine's clock is ahead, and where it is no time at all.
    for other in ("21000101T000000Z", "99991231T235959Z", "20269999T999999Z"):
        assert new_release(digest, f"{other}-{'0' * 16}-{'0' * 8}")
    assert new_release(digest, f"21000101T235959Z-{'0' * 16}-{'0' * 8}").startswith("21000102T")
    known = Shortened([first])
    assert digest in known
    assert "f" + digest[1:] not in known
    reference = Reference.parse(f"s3://bucket/{RELEASES}/{first}")
    assert (reference.name, reference.release) == ("s3://bucket", first)
    assert Reference.parse(reference.url) == reference
    for other in (f"hf://a/{RELEASES}/{first}", f"s3://bucket/{RELEASES}/{first}/sub"):
        assert Reference.parse(other).release is None
