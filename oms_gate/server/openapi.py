"""The decision API as an OpenAPI 3.1 document: ``python -m oms_gate.server.openapi`` prints it."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any, Final

from aiohttp import web
from pydantic.json_schema import models_json_schema

from oms_gate.server.api import Decided, Running, VerdictsPage
from oms_gate.server.problems import PROBLEM_TYPE, Problem, answered
from oms_gate.server.questions import VerdictRequest, VerdictsQuery

_JSON: Final = "application/json"
_SCHEMAS: Final = "#/components/schemas/"
_RETRY: Final = {
    "Retry-After": {
        "description": "When to ask again, in seconds.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}
_ANYWHERE: Final = {
    "401": "Nobody who is known asks.",
    "404": "There is nothing here.",
    "503": "The gate is about to stop, or its queue is full; ask again.",
}


def openapi_routes() -> list[web.RouteDef]:
    """``/openapi.json``, which anybody may read."""

    async def document(_: web.Request) -> web.Response:
        return web.json_response(text=openapi())

    return [web.get("/openapi.json", answered(document))]


@cache
def openapi() -> str:
    """The document, as it is in ``docs/openapi.json``."""
    answers = (Decided, Running, VerdictsPage, Problem)
    _, schemas = models_json_schema(
        [
            (VerdictRequest, "validation"),
            (VerdictsQuery, "validation"),
            *((model, "serialization") for model in answers),
        ],
        ref_template=_SCHEMAS + "{model}",
    )
    components = dict(schemas["$defs"])
    query = components.pop("VerdictsQuery")
    found = {
        "type": "object",
        "oneOf": [_reference("Decided"), _reference("Running")],
    }
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "oms-gate",
            "version": "1",
            "summary": "Whether AI models may be used, and why.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"basic": []}, {"certificate": []}],
        "paths": {
            "/v1/verdicts": {
                "post": {
                    "operationId": "decide",
                    "summary": "Decide about a model.",
                    "requestBody": {
                        "required": True,
                        "content": {_JSON: {"schema": _reference("VerdictRequest")}},
                    },
                    "responses": {
                        "200": _answer("The verdict, whatever it is.", _reference("Decided")),
                        "202": {
                            **_answer(
                                "The check goes on; its verdict will be there.",
                                _reference("Running"),
                            ),
                            "headers": {
                                **_RETRY,
                                "Location": {
                                    "description": "Of the verdict.",
                                    "schema": {"type": "string"},
                                },
                            },
                            "links": {
                                "verdict": {
                                    "operationId": "verdict",
                                    "parameters": {"id": "$response.body#/id"},
                                }
                            },
                        },
                        **_problems(
                            {
                                "400": "The request is no JSON that has only one reading.",
                                "403": "The client may not ask about this model.",
                                "408": "The request did not arrive in time.",
                                "413": "The request is too large.",
                                "415": "The request is of another type.",
                                "422": "The request cannot be meant.",
                                "429": "As many checks of the client are at work as may be.",
                            }
                        ),
                    },
                },
                "get": {
                    "operationId": "verdicts",
                    "summary": "Recent verdicts, the newest first.",
                    "parameters": [
                        _parameter(name, schema) for name, schema in query["properties"].items()
                    ],
                    "responses": {
                        "200": _answer("A page of them.", _reference("VerdictsPage")),
                        **_problems({"422": "A parameter cannot be meant."}),
                    },
                },
            },
            "/v1/verdicts/{id}": {
                "get": {
                    "operationId": "verdict",
                    "summary": "A verdict, or that its check is running.",
                    "parameters": [
                        {
                            "name": "id",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string"},
                        }
                    ],
                    "responses": {
                        "200": _answer("What there is.", found),
                        **_problems({}),
                    },
                }
            },
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The client's name, and its token as the password.",
                },
                "certificate": {"type": "mutualTLS"},
            },
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _reference(model: str) -> dict[str, str]:
    return {"$ref": f"{_SCHEMAS}{model}"}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": schema}}}


def _problems(own: dict[str, str]) -> dict[str, Any]:
    return {
        status: {
            "description": description,
            "content": {PROBLEM_TYPE: {"schema": _reference("Problem")}},
        }
        for status, description in sorted({**_ANYWHERE, **own}.items())
    }


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One of the query: what it is without null, which a query cannot have."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    parameter = {"name": name, "in": "query", "schema": kinds[0]}
    if "description" in schema:
        parameter["description"] = schema["description"]
    return parameter


if __name__ == "__main__":
    sys.stdout.write(openapi())
