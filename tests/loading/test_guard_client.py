"""The transport under a guard, by httpx: requests that no function made on its behalf."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import (
    HfApi,
    get_hf_file_metadata,
    get_session,
    hf_hub_download,
    hf_hub_url,
)
from huggingface_hub.utils import _http

from oms_gate import AdmissionDenied, AdmissionWarning, Gate, ReasonCode, guard
from oms_gate.loading.admitted import letting_through
from tests import models
from tests.delivery.pulling import codes, signed
from tests.peers.hub import HubStandIn

try:
    from huggingface_hub import get_async_session, set_async_client_factory, set_client_factory
except ImportError:  # In 0.36, see test_guard_sessions.py.
    pytest.skip("it speaks by requests", allow_module_level=True)

CONFIG = models.FILES["config.json"]
WEIGHTS = models.FILES["model.safetensors"]


@pytest.fixture(autouse=True)
def _model(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> None:
    hub.create("acme/m", files=signed(key))


@pytest.fixture
def factories() -> Iterator[None]:
    """The factories of the library are what they were."""
    yield
    set_client_factory(_http.default_client_factory)
    set_async_client_factory(_http.default_async_client_factory)


def url(name: str) -> str:
    return hf_hub_url("acme/m", name)


def test_files_are_not_had_past_the_functions(hub: HubStandIn, gate: Gate) -> None:
    """Not even those of an admitted model: nobody would look at their bytes."""
    before = get_session()
    with guard(gate):
        for address in (
            url("config.json"),
            url("config.json").replace("/resolve/", "/raw/"),
            url("config.json").replace("resolve", "%72esolve"),
            f"{hub.endpoint}/api/models/acme/m/resolve/main/config.json",
            f"{hub.endpoint}/api/models/acme/m/xet-read-token/main",
            f"{hub.endpoint}/api/resolve-cache/models/acme/m/{hub.head('acme/m')}/config.json",
            hf_hub_url("acme/d", "x", repo_type="dataset"),
        ):
            for session in (before, get_session()):
                with pytest.raises(AdmissionDenied) as denied:
                    session.get(address)
                assert codes(denied.value.verdict) == [ReasonCode.GUARD_UNCHECKED]
                assert denied.value.verdict.model.name.startswith("hf://")
            with pytest.raises(AdmissionDenied):
                _http.http_backoff("GET", address)
            with pytest.raises(AdmissionDenied), _http.http_stream_backoff("GET", address):
                pass
        with pytest.raises(AdmissionDenied, match="hf://acme/m was denied"):
            HfApi().parse_safetensors_file_metadata("acme/m", "model.safetensors")
    assert not hub.requests
    assert get_session().get(url("config.json")).content == CONFIG


def test_what_a_file_s_address_leads_to(hub: HubStandIn, gate: Gate) -> None:
    with guard(gate):
        location = get_hf_file_metadata(url("model.safetensors")).location
        assert location.startswith(hub.cdn.url)
        with pytest.raises(AdmissionDenied, match="hf://acme/m was denied"):
            get_session().get(location)
    assert get_session().get(location).content == WEIGHTS
    assert [r.method for r in hub.requests if r.origin == "cdn"] == ["GET"]


def test_another_hub_is_no_place_of_files_only(hub: HubStandIn, gate: Gate) -> None:
    hub.state.cdn_url = f"{hub.cdn.url}/acme/m/resolve/main"
    with guard(gate):
        location = get_hf_file_metadata(url("model.safetensors")).location
        with pytest.raises(AdmissionDenied):
            get_session().get(location)
        assert get_session().get(f"{hub.cdn.url}/api/models/acme/m").status_code == 404


def test_all_else_is_let_through(hub: HubStandIn, gate: Gate) -> None:
    with guard(gate):
        assert HfApi().model_info("acme/m").sha == hub.head("acme/m")
        assert list(HfApi().list_repo_tree("acme/m"))
        assert HfApi().list_repo_refs("acme/m").branches
        assert get_session().head(url("config.json")).status_code == 200
        api = HfApi(token=hub.token)
        api.upload_file(path_or_fileobj=b"{}", path_in_repo="more.json", repo_id="acme/m")


def test_asynchronous_clients(gate: Gate, hub: HubStandIn) -> None:
    async def get(address: str) -> Any:
        async with get_async_session() as session:
            return await session.get(address)

    with guard(gate):
        with pytest.raises(AdmissionDenied):
            asyncio.run(get(url("config.json")))
        assert asyncio.run(get(f"{hub.endpoint}/api/models/acme/m")).status_code == 200
    assert asyncio.run(get(url("config.json"))).content == CONFIG


@pytest.mark.usefixtures("factories")
def test_factories_of_the_user_s(gate: Gate) -> None:
    made = []

    def factory() -> Any:
        client = _http.default_client_factory()
        client.headers["X-Mine"] = "1"
        made.append(client)
        return client

    set_client_factory(factory)
    with guard(gate):
        client = get_session()
        assert client.headers["X-Mine"] == "1"
        with pytest.raises(AdmissionDenied):
            client.get(url("config.json"))
    assert _http._GLOBAL_CLIENT_FACTORY is factory
    assert get_session() is client
    assert made == [client]
    assert client.get(url("config.json")).content == CONFIG
    with guard(gate):
        # Whoever sets one meanwhile has it afterwards.
        set_client_factory(_http.default_client_factory)
    assert _http._GLOBAL_CLIENT_FACTORY is _http.default_client_factory


def test_transfers_by_xet(hub: HubStandIn, gate: Gate) -> None:
    """They are made by compiled code, which the library's transport does not see."""
    import hf_xet
    from huggingface_hub.utils import _xet

    library: Any = _xet
    with guard(gate):
        with pytest.raises(AdmissionDenied):
            hf_xet.download_files([], None, None, None, None)
        if not hasattr(library, "get_xet_session"):  # Up to 1.16 there are no sessions.
            return
        session = library.get_xet_session()
        with pytest.raises(AdmissionDenied, match="hf://acme/m was denied"):
            session.new_file_download_group(
                token_refresh_url=f"{hub.endpoint}/api/models/acme/m/xet-read-token/main"
            )
        with pytest.raises(AdmissionDenied):
            session.new_download_stream_group()
        assert session.new_upload_commit is not None
    assert type(library.get_xet_session()) is hf_xet.XetSession


def test_annotate_warns_once(hub: HubStandIn, annotating: Gate) -> None:
    with guard(annotating):
        with pytest.warns(AdmissionWarning, match="hf://acme/m was denied") as warned:
            for _ in range(3):
                assert get_session().get(url("config.json")).content == CONFIG
        assert len(warned) == 1
        with letting_through(), warnings.catch_warnings():
            warnings.simplefilter("error")
            assert get_session().get(url("model.safetensors")).content == WEIGHTS
            assert get_session().get(f"{hub.endpoint}/a/b/resolve/main/c").status_code == 401
        assert hf_hub_download("acme/m", "config.json")
