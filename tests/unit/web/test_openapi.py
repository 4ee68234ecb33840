import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from litestar.testing import AsyncTestClient
from schemathesis.specs.openapi import definitions

from semalink.web.openapi import problem_codes
from semalink.web.operation import Operation
from semalink.web.problem_types import PROBLEM_TYPES


@pytest.fixture(params=["api", "admin", "intake"])
def application(platform: Any, request: Any) -> Any:
    return getattr(platform, request.param)()


@pytest.fixture
async def document(application: Any) -> Any:
    async with AsyncTestClient(application) as client:
        answer = await client.get("/openapi.json")
    return answer.json()


def described(document: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def routed(application: Any) -> dict[str, Operation]:
    return {
        handler.opt["operation"].route_name: handler.opt["operation"]
        for route in application.routes
        for handler in route.route_handlers
        if handler.http_methods != {"OPTIONS"}
    }


def media(operation: Any) -> Iterator[Any]:
    yield from operation.get("requestBody", {}).get("content", {}).values()
    for answer in operation["responses"].values():
        yield from answer.get("content", {}).values()


def test_document_is_valid(document: Any) -> None:
    definitions.OPENAPI_31_VALIDATOR.validate(document)


def test_document_describes_every_route(application: Any, document: Any) -> None:
    assert {name for name, _ in described(document)} == set(routed(application))


def test_every_operation_is_described_in_full(document: Any) -> None:
    for name, operation in described(document):
        for part in ("operationId", "summary", "description", "tags", "responses", "security"):
            assert part in operation, f"{name} has no {part}"
    ids = [operation["operationId"] for _, operation in described(document)]
    assert len(ids) == len(set(ids))


def test_every_shape_has_examples_that_fit(document: Any) -> None:
    for name, operation in described(document):
        for content in media(operation):
            if content["schema"] == {"type": "string"}:
                continue
            schema = {**content["schema"], "components": document["components"]}
            assert content["examples"], f"{name} has no example"
            for example in content["examples"].values():
                jsonschema_rs.validator_for(schema).validate(example["value"])


def test_every_error_is_a_problem(application: Any, document: Any) -> None:
    for name, operation in described(document):
        errors = {code: one for code, one in operation["responses"].items() if code >= "400"}
        assert {"400", "500"} <= errors.keys(), f"{name} does not tell of every error"
        for status, error in errors.items():
            (media_type, content), *_ = error["content"].items()
            assert media_type == "application/problem+json"
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert {one["value"]["status"] for one in content["examples"].values()} == {int(status)}
        documented = {code for error in errors.values() for code in examples_of(error)}
        assert documented == set(problem_codes(routed(application)[name]))


def examples_of(error: Any) -> set[str]:
    return set(error["content"]["application/problem+json"]["examples"])


def test_every_operation_with_scopes_asks_for_a_key(application: Any, document: Any) -> None:
    public = re.compile(r"/(health|metrics|docs|openapi|problems|dlr|opt-out/)")
    for name, operation in described(document):
        path = name.partition(" ")[2]
        asks = operation["security"] == [{"apiKey": []}]
        assert asks == bool(routed(application)[name].scopes)
        assert asks != bool(public.match(path)), f"{name} is open"


def test_problem_types_are_all_documented(platform: Any) -> None:
    applications = [platform.api(), platform.admin(), platform.intake()]
    documented = {
        code
        for application in applications
        for operation in routed(application).values()
        for code in problem_codes(operation)
    }

    # A method that is not allowed belongs to no operation, and no operation resolves by hand.
    assert set(PROBLEM_TYPES) - documented == {"method_not_allowed", "reservation_not_open"}
