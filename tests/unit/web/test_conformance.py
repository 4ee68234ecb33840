"""Whatever a client sends, the answer is one that the OpenAPI document tells of."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    ensure_resource_availability,
    positive_data_acceptance,
)

from semalink.domain.account import Tier

#: Left out: a body may fit its schema and still be refused by a rule, which is what 422 is for.
LEFT_OUT = [positive_data_acceptance, ensure_resource_availability]
BOUNDED = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def conforming(make_platform: Any) -> Any:
    """A platform that lives as long as the cases of this file, and its keys."""
    platform = make_platform()
    opened = platform.open_tenant("Acme", credit_micros=10**12, tier=Tier.ENTERPRISE)
    tenant = asyncio.run(opened)
    operator_key = asyncio.run(platform.open_platform())
    keys = {"api": tenant.live, "admin": operator_key, "intake": ""}
    applications = {name: getattr(platform, name)() for name in keys}
    schemas = {
        name: schemathesis.openapi.from_asgi("/openapi.json", application)
        for name, application in applications.items()
    }
    return keys, schemas


@pytest.mark.parametrize("name", ["api", "admin", "intake"])
def test_application_answers_what_fits_as_documented(conforming: Any, name: str) -> None:
    keys, schemas = conforming

    for result in schemas[name].get_all_operations():
        check(result.ok(), GenerationMode.POSITIVE, keys[name])


@pytest.mark.parametrize("name", ["api", "admin"])
def test_application_refuses_what_does_not_fit_as_documented(conforming: Any, name: str) -> None:
    keys, schemas = conforming
    operations = [result.ok() for result in schemas[name].get_all_operations()]

    # Of the others nothing is asked that could be wrong.
    asking = [one for one in operations if len(one.body) > 0 or len(one.query) > 0]

    assert asking
    for operation in asking:
        check(operation, GenerationMode.NEGATIVE, keys[name])


def check(operation: Any, mode: GenerationMode, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def conforms(case: Any) -> None:
        case.call_and_validate(headers=headers, excluded_checks=LEFT_OUT)

    conforms()
