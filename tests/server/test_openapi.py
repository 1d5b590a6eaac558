"""The document that describes the API."""

from __future__ import annotations

import json
from pathlib import Path

import requests

from oms_gate.server.openapi import openapi
from tests.server.asking import Server

PUBLISHED = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_published_document_is_the_apis_own() -> None:
    assert PUBLISHED.read_text() == openapi(), "write it anew: make openapi"


def test_anybody_may_read_it(api: Server) -> None:
    answer = requests.get(f"{api.url}/openapi.json", timeout=10)
    assert answer.json() == json.loads(PUBLISHED.read_text())
    assert answer.headers["Content-Type"].startswith("application/json")


def test_what_it_says_of_routes_is_what_there_is(api: Server) -> None:
    document = json.loads(openapi())
    assert document["openapi"].startswith("3.1.")
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    served = {
        (route.method, route.path)
        for route in api.api.routes()
        if route.method not in ("*", "HEAD")
    }
    assert described == served
    asked = document["components"]["schemas"]["VerdictRequest"]
    assert asked["additionalProperties"] is False
