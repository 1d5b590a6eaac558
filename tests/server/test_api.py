"""``/v1/verdicts``: what clients ask about models, and what they are told."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.verdict import Verdict
from tests.delivery.pulling import SCHEMA
from tests.peers.hub import HubStandIn
from tests.server.asking import Held, Server, publish, serving, settings


def verdict_of(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    verdict: dict[str, Any] = answer.json()["verdict"]
    jsonschema.validate(verdict, SCHEMA)
    return verdict


def settled(server: Server, name: str) -> dict[str, Any]:
    """The verdict by an id, once it is there."""
    for _ in range(200):
        answer = server.get(f"/v1/verdicts/{name}").json()
        if "verdict" in answer:
            found: dict[str, Any] = answer["verdict"]
            return found
        assert answer == {"id": name, "state": "running"}
        time.sleep(0.02)
    raise AssertionError("the check did not end")


@pytest.mark.parametrize("assurance", ["signature", "declared", "bytes"])
def test_a_signed_model_is_admitted_as_far_as_is_asked_and_another_is_not(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, assurance: str
) -> None:
    publish(hub, key, "acme/good")
    publish(hub, key, "acme/bad", unsigned=True)
    good = verdict_of(api.ask("hf://acme/good@main", assurance=assurance))
    assert good["outcome"] == "admitted"
    assert good["assurance"] == assurance
    assert good["coverage"]["measured"] == {"signature": 0, "declared": 2, "bytes": 3}[assurance]
    bad = verdict_of(api.ask("hf://acme/bad", assurance=assurance))
    assert bad["outcome"] == "denied"
    assert [reason["code"] for reason in bad["reasons"]] == ["signature.missing"]


def test_a_changed_file_is_found_where_every_byte_is_asked_for(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    publish(hub, key, "acme/changed")
    hub.commit("acme/changed", {"config.json": b'{"model_type": "evil"}\n'})
    assert verdict_of(api.ask("hf://acme/changed", assurance="signature"))["outcome"] == "admitted"
    verdict = verdict_of(api.ask("hf://acme/changed", assurance="bytes"))
    assert [reason["code"] for reason in verdict["reasons"]] == ["file.changed"]


def test_the_gates_own_assurance_is_the_default(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    publish(hub, key, "acme/good")
    with serving(settings(public_key) | {"assurance": "bytes"}, tmp_path) as api:
        assert verdict_of(api.ask("hf://acme/good"))["assurance"] == "bytes"


def test_a_verdict_is_found_again(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    publish(hub, key, "acme/again")
    answer = api.ask("hf://acme/again")
    again = api.get(f"/v1/verdicts/{answer.json()['id']}")
    assert again.json() == answer.json()
    assert Verdict.model_validate(again.json()["verdict"]).admitted
    assert again.headers["Cache-Control"] == "no-store"
    assert again.headers["X-Content-Type-Options"] == "nosniff"


def test_many_who_ask_the_same_are_answered_by_one_check(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, held: Held
) -> None:
    publish(hub, key, "acme/once")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(api.ask, "hf://acme/once") for _ in range(8)]
        while not held.came:
            time.sleep(0.01)
        assert api.api.running == 1
        held.go.set()
        answers = [one.result() for one in asked]
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    assert verdict_of(answers[0])["outcome"] == "admitted"
    before = len(hub.requests)
    assert api.ask("hf://acme/once").json() == answers[0].json()
    assert len(hub.requests) == before


@pytest.mark.parametrize(
    "other",
    [{"who": "blue"}, {"context": {"namespace": "b"}}, {"assurance": "declared"}],
    ids=["client", "context", "assurance"],
)
def test_another_question_has_an_answer_of_its_own(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, other: dict[str, Any]
) -> None:
    publish(hub, key, "acme/own")
    first = api.ask("hf://acme/own", assurance="signature", context={"namespace": "a"})
    asked = {"assurance": "signature", "context": {"namespace": "a"}, **other}
    second = api.ask("hf://acme/own", **asked)
    assert verdict_of(second)["outcome"] == "admitted"
    assert second.json()["id"] != first.json()["id"]


def test_a_change_of_the_rules_holds_for_what_was_asked_before(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    publish(hub, key, "acme/model")
    config = settings(public_key)
    with serving(config, tmp_path) as api:
        assert verdict_of(api.ask("hf://acme/model"))["outcome"] == "admitted"
        changed = config | {"publishers": []}
        (tmp_path / "gate.yaml").write_text(json.dumps(changed))
        time.sleep(0.1)
        verdict = verdict_of(api.ask("hf://acme/model"))
        assert [reason["code"] for reason in verdict["reasons"]] == ["publisher.unknown"]


def test_a_check_that_takes_longer_goes_on(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, held: Held
) -> None:
    publish(hub, key, "acme/slow")
    answer = api.ask("hf://acme/slow", wait_seconds=0.05)
    assert answer.status_code == 202
    name = answer.json()["id"]
    assert answer.json() == {"id": name, "state": "running"}
    assert answer.headers["Location"] == f"/v1/verdicts/{name}"
    assert int(answer.headers["Retry-After"]) > 0
    assert api.get(f"/v1/verdicts/{name}").json() == {"id": name, "state": "running"}
    assert api.get(f"/v1/verdicts/{name}", "blue").status_code == 404
    assert name not in api.get("/v1/verdicts").text
    again = api.ask("hf://acme/slow", wait_seconds=0)
    assert (again.status_code, again.json()["id"]) == (202, name)
    held.go.set()
    assert settled(api, name)["outcome"] == "admitted"


def test_another_process_knows_of_a_check_that_goes_on(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path, held: Held
) -> None:
    publish(hub, key, "acme/slow")
    config = settings(public_key)
    with serving(config, tmp_path) as one, serving(config, tmp_path) as other:
        name = one.ask("hf://acme/slow", wait_seconds=0).json()["id"]
        assert other.get(f"/v1/verdicts/{name}").json() == {"id": name, "state": "running"}
        held.go.set()
        assert settled(other, name)["outcome"] == "admitted"


def test_nobody_waits_longer_than_the_operator_allows(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path, held: Held
) -> None:
    publish(hub, key, "acme/slow")
    with serving(settings(public_key, wait_seconds=0.05), tmp_path) as api:
        started = time.monotonic()
        assert api.ask("hf://acme/slow", wait_seconds=1000).status_code == 202
        assert time.monotonic() - started < 5
        held.go.set()


def test_no_client_takes_all_the_checks(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path, held: Held
) -> None:
    names = [f"acme/{number}" for number in range(5)]
    publish(hub, key, *names)
    config = settings(public_key, checks=3, waiting_checks=0)
    config["api"]["clients"][1]["checks"] = 2
    with serving(config, tmp_path) as api:
        asked = [api.ask(f"hf://{name}", wait_seconds=0) for name in names[:3]]
        assert [answer.status_code for answer in asked] == [202, 202, 429]
        assert asked[2].json()["detail"].startswith("2 checks of yours")
        others = [api.ask(f"hf://{name}", "blue", wait_seconds=0) for name in names[3:]]
        assert [answer.status_code for answer in others] == [202, 503]
        for refused in (asked[2], others[1]):
            assert int(refused.headers["Retry-After"]) > 0
            assert refused.headers["Content-Type"].startswith("application/problem+json")
        held.go.set()
        assert settled(api, asked[0].json()["id"])["outcome"] == "admitted"
        assert verdict_of(api.ask("hf://acme/2"))["outcome"] == "admitted"


def test_a_check_of_bytes_ends_with_the_service(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path, held: Held
) -> None:
    publish(hub, key, "acme/large")
    with serving(settings(public_key), tmp_path) as api:
        name = api.ask("hf://acme/large", assurance="bytes", wait_seconds=0).json()["id"]
        while not held.came:
            time.sleep(0.01)
    held.go.set()
    verdict = None
    for _ in range(300):
        found = api.verdicts.get(name)
        assert found is not None
        if (verdict := found.verdict) is not None:
            break
        time.sleep(0.02)
    assert verdict is not None
    assert [reason.code for reason in verdict.reasons] == ["gate.deadline-exceeded"]
    assert "stopped" in verdict.reasons[0].message


def test_a_policy_is_told_who_asks_and_for_what(
    opa: Path, public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    publish(hub, key, "acme/told")
    root = Path(__file__).parents[2] / "policies"
    folder = tmp_path / "policy"
    (folder / "lib").mkdir(parents=True)
    for path in (root / "admission.rego", *(root / "lib").glob("*.rego")):
        (folder / path.relative_to(root)).write_bytes(path.read_bytes())
    (folder / "own.rego").write_text(
        "package oms_gate.admission\n"
        'deny contains {"code": "acme.who", "msg": "not for you"} if {\n'
        '\tnot input.context.client == "red"\n}\n'
        'deny contains {"code": "acme.what", "msg": "not for that"} if {\n'
        '\tinput.context.operation == "publish"\n}\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{opa.parent}:/usr/bin:/bin")
        with serving(settings(public_key) | {"policy": {"rego": "policy"}}, tmp_path) as api:
            assert verdict_of(api.ask("hf://acme/told"))["outcome"] == "admitted"
            for who, context, code in (
                ("blue", {}, "acme.who"),
                ("red", {"operation": "publish"}, "acme.what"),
            ):
                verdict = verdict_of(api.ask("hf://acme/told", who, context=context))
                assert [reason["policy_code"] for reason in verdict["reasons"]] == [code]


def test_a_client_is_judged_by_its_own_rules(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    publish(hub, key, "acme/model")
    config = settings(public_key)
    (tmp_path / "blue.yaml").write_text(json.dumps(config | {"publishers": [], "api": {}}))
    config["api"]["clients"][2]["config"] = "blue.yaml"
    with serving(config, tmp_path) as api:
        assert verdict_of(api.ask("hf://acme/model", "red"))["outcome"] == "admitted"
        blue = verdict_of(api.ask("hf://acme/model", "blue"))
        assert [reason["code"] for reason in blue["reasons"]] == ["publisher.unknown"]
        (tmp_path / "blue.yaml").write_text(json.dumps(config | {"api": {}}))
        time.sleep(0.1)
        assert verdict_of(api.ask("hf://acme/model", "blue"))["outcome"] == "admitted"


def test_a_client_asks_about_its_own_models_only(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    publish(hub, key, "acme/red", "acme/blue")
    config = settings(public_key)
    config["api"]["clients"][1]["models"] = ["acme/red*"]
    with serving(config, tmp_path) as api:
        assert verdict_of(api.ask("hf://acme/red@main"))["outcome"] == "admitted"
        before = len(hub.requests)
        refused = api.ask("hf://acme/blue")
        assert refused.status_code == 403
        assert "hf://acme/blue" in refused.json()["detail"]
        assert len(hub.requests) == before


def test_the_record_has_pages_and_filters(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    publish(hub, key, "acme/one", "acme/two")
    publish(hub, key, "acme/three", unsigned=True)
    with serving(settings(public_key, page_verdicts=2), tmp_path) as api:
        for name in ("one", "two", "three"):
            api.ask(f"hf://acme/{name}")

        def listed(who: str = "red", **query: str) -> tuple[list[str], str | None]:
            answer = api.get("/v1/verdicts", who, params=query).json()
            urls = [entry["verdict"]["url"] for entry in answer["verdicts"]]
            return [url.split("@")[0].split("/")[-1] for url in urls], answer["next"]

        first, cursor = listed()
        assert first == ["three", "two"]
        assert cursor is not None
        assert listed(cursor=cursor) == (["one"], None)
        assert listed(outcome="denied") == (["three"], None)
        assert listed(reason="signature.missing") == (["three"], None)
        assert listed(reason="file.changed") == ([], None)
        assert listed(model="ACME/T")[0] == ["three", "two"]
        assert listed(model="hf://acme/t*")[0] == ["three", "two"]
        assert listed(model="hf://*")[0] == []
        assert listed(since="2000-01-01T00:00:00Z", source="api")[0] == ["three", "two"]
        assert listed(since="2999-01-01T00:00:00+02:00")[0] == []
        assert listed("blue") == ([], None)
        assert api.get("/v1/verdicts", "blue", params={"cursor": cursor}).status_code == 422
        assert listed("ops", tenant="red", model="one") == (["one"], None)
        assert listed("ops", tenant="blue") == ([], None)
        api.ask("hf://acme/one", "blue")
        assert listed("blue") == (["one"], None)
        assert listed("blue", tenant="red") == ([], None)


def test_what_the_gateway_and_events_found_is_for_operators(
    api: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    publish(hub, key, "acme/private")
    verdict = Verdict.model_validate(verdict_of(api.ask("hf://acme/private")))
    ids = {
        "red": api.verdicts.record(verdict, source="api", tenant="red"),
        "gateway": api.verdicts.record(verdict, source="gateway"),
        # Not even where the gateway knows by the same name whom it serves.
        "event": api.verdicts.record(verdict, source="event", tenant="red"),
    }
    for who, seen in (("ops", set(ids)), ("red", {"red"}), ("blue", set())):
        for kind, name in ids.items():
            expected = 200 if kind in seen else 404
            assert api.get(f"/v1/verdicts/{name}", who).status_code == expected
            assert api.get(f"/verdicts/{name}", who).status_code == expected
            listed = api.get("/v1/verdicts", who).text
            assert (name in listed) is (kind in seen)
    unknown = api.get(f"/v1/verdicts/{'0' * 32}", "blue").json()
    assert api.get(f"/v1/verdicts/{ids['red']}", "blue").json() == unknown
