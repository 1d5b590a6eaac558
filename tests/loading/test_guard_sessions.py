"""The transport under a guard, by requests as in huggingface_hub 0.36."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import huggingface_hub
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import HfApi, get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.utils import _http

from oms_gate import AdmissionDenied, AdmissionWarning, Gate, ReasonCode, guard
from tests import models
from tests.delivery.pulling import codes, signed
from tests.peers.hub import HubStandIn

if hasattr(huggingface_hub, "set_client_factory"):
    pytest.skip("it speaks by httpx, see test_guard_client.py", allow_module_level=True)

library: Any = _http
CONFIG = models.FILES["config.json"]


@pytest.fixture(autouse=True)
def _model(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> None:
    hub.create("acme/m", files=signed(key))


@pytest.fixture
def factories() -> Iterator[None]:
    """The factory of the library is what it was."""
    yield
    library.configure_http_backend(library._default_backend_factory)


def url(name: str) -> str:
    return hf_hub_url("acme/m", name)


def session() -> Any:
    return get_session()


def test_files_are_not_had_past_the_functions(hub: HubStandIn, gate: Gate) -> None:
    with guard(gate):
        for address in (
            url("config.json"),
            url("config.json").replace("/resolve/", "/raw/"),
            f"{hub.endpoint}/api/models/acme/m/xet-read-token/main",
        ):
            with pytest.raises(AdmissionDenied) as denied:
                session().get(address)
            assert codes(denied.value.verdict) == [ReasonCode.GUARD_UNCHECKED]
            with pytest.raises(AdmissionDenied):
                library.http_backoff("GET", address)
        with pytest.raises(AdmissionDenied, match="hf://acme/m was denied"):
            HfApi().parse_safetensors_file_metadata("acme/m", "model.safetensors")
        assert HfApi().model_info("acme/m").sha
        assert session().head(url("config.json")).status_code == 200
    assert not [r for r in hub.requests if r.method == "GET" and r.file]
    assert session().get(url("config.json")).content == CONFIG


def test_what_a_file_s_address_leads_to(hub: HubStandIn, gate: Gate) -> None:
    with guard(gate):
        location = get_hf_file_metadata(url("model.safetensors")).location
        assert location.startswith(hub.cdn.url)
        with pytest.raises(AdmissionDenied, match="hf://acme/m was denied"):
            session().get(location)
    assert [r.method for r in hub.requests if r.origin == "cdn"] == []


@pytest.mark.usefixtures("factories")
def test_factories_of_the_user_s(gate: Gate) -> None:
    """Also one that always gives the same session."""
    mine = library._default_backend_factory()
    library.configure_http_backend(lambda: mine)
    with guard(gate):
        assert session() is mine
        with pytest.raises(AdmissionDenied):
            mine.get(url("config.json"))
        library.reset_sessions()
        with pytest.raises(AdmissionDenied):
            session().get(url("config.json"))
    assert session() is mine
    assert mine.get(url("config.json")).content == CONFIG
    assert "send" not in vars(mine)


def test_transfers_by_xet(gate: Gate) -> None:
    import hf_xet

    with guard(gate), pytest.raises(AdmissionDenied):
        hf_xet.download_files([], None, None, None, None)


def test_annotate_warns_once(annotating: Gate) -> None:
    with guard(annotating), pytest.warns(AdmissionWarning, match="hf://acme/m") as warned:
        for _ in range(3):
            assert session().get(url("config.json")).content == CONFIG
    assert len(warned) == 1
