import gzip
import hashlib
import re
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from semalink.domain.errors import DomainError, FieldRefusal
from semalink.web.problem_types import PROBLEM_TYPES, STATUS_BY_CODE

STATIC = resources.files("semalink.web") / "static" / "scalar"


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 64])
async def test_request_id_of_client_is_kept(api: Any, given: str) -> None:
    answer = await api.get("/health/live", headers={"X-Request-Id": given})

    assert answer.headers["X-Request-Id"] == answer.headers["Request-Id"] == given


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 65, "a\nb", "é"])
async def test_request_id_is_made_when_none_can_be_kept(api: Any, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-Id": given.encode()}

    answer = await api.get("/health/live", headers=headers)

    assert re.fullmatch("req_[0-9a-f]{32}", answer.headers["X-Request-Id"])


async def test_observer_sees_route_and_never_path(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    await api.get("/v1/messages/msg_1", headers=bearer(acme.live))
    await api.get("/no/such/page")
    await api.request("BREW", "/v1/balance")

    seen = [(one["method"], one["route"], one["status"]) for one in platform.observer.ended]
    assert seen == [
        ("GET", "/v1/messages/{message_id}", 404),
        ("GET", "unmatched", 404),
        ("other", "unmatched", 405),
    ]
    assert all(one["seconds"] >= 0 for one in platform.observer.ended)


async def test_api_answers_say_that_they_are_data(api: Any) -> None:
    answer = await api.get("/health/live")

    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_options_name_the_methods(api: Any) -> None:
    answer = await api.options("/v1/messages")

    assert answer.status_code == 204
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


async def test_wrong_method_is_told_the_right_ones(api: Any) -> None:
    answer = await api.delete("/v1/messages")

    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


async def test_unknown_path_is_a_problem(api: Any) -> None:
    answer = await api.get("/no/such/page", headers={"X-Request-Id": "mine"})

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/not_found",
        "title": "No such page",
        "status": 404,
        "detail": "Check the path; see /openapi.json.",
        "instance": "/requests/mine",
        "code": "not_found",
        "request_id": "mine",
        "retryable": False,
        "errors": [],
    }


async def test_malformed_host_is_a_problem(api: Any) -> None:
    answer = await api.get("/health/live", headers={"Host": "a b"})

    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_request"


async def test_bug_is_a_problem_and_logged_without_values(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any, capsys: Any
) -> None:
    platform.ledger.streams.clear()

    answer = await api.post("/v1/messages", json=message, headers=bearer(acme.live))

    assert answer.status_code == 500
    shown = capsys.readouterr().out
    assert "request_crashed" in shown
    assert message["to"] not in shown + answer.text
    assert acme.live not in shown


async def test_readiness_follows_checks(api: Any, platform: Any) -> None:
    ready = await api.get("/health/ready")
    platform.is_ready = False

    unready = await api.get("/health/ready")

    assert ready.json() == {"status": "ok", "checks": {"ledger": "ok"}}
    assert unready.status_code == 503
    assert unready.headers["Retry-After"] == "1"
    assert unready.json()["errors"][0]["pointer"] == "/checks/ledger"


async def test_check_that_hangs_has_failed(platform: Any) -> None:
    health = replace(platform.edge.health, check_seconds_max=0.01)
    platform.edge = replace(platform.edge, health=health)
    platform.check_hangs = True

    async with AsyncTestClient(platform.api()) as client:
        answer = await client.get("/health/ready")

    assert answer.status_code == 503


async def test_application_runs_without_an_observer(platform: Any) -> None:
    platform.edge = replace(platform.edge, observer=None)

    async with AsyncTestClient(platform.api()) as client:
        answer = await client.get("/health/live")

    assert answer.status_code == 200
    assert answer.headers["Request-Id"].startswith("req_")


async def test_metrics_are_shown_as_given(api: Any) -> None:
    answer = await api.get("/metrics")

    assert answer.text == "up 1\n"
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"


def refusals(base: type[DomainError] = DomainError) -> list[type[DomainError]]:
    found = [one for one in base.__subclasses__() if one.__module__.startswith("semalink.domain.")]
    return [*(one for one in found if one is not FieldRefusal)] + [
        deeper for one in found for deeper in refusals(one)
    ]


def test_every_refusal_has_a_status() -> None:
    assert set(STATUS_BY_CODE) == {one.code for one in refusals()}


@pytest.mark.parametrize("code", PROBLEM_TYPES)
async def test_every_problem_type_resolves(api: Any, code: str) -> None:
    page = await api.get(f"/problems/{code}", headers={"Accept": "text/html"})
    facts = await api.get(f"/problems/{code}", headers={"Accept": "application/json"})

    assert page.status_code == facts.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert PROBLEM_TYPES[code].title in page.text.replace("&#x27;", "'")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert facts.json()["code"] == code


async def test_unknown_problem_type_is_not_found(api: Any) -> None:
    answer = await api.get("/problems/nonsense")

    assert answer.status_code == 404


async def test_docs_come_from_this_server_alone(api: Any) -> None:
    page = await api.get("/docs")

    sources = re.findall(r'(?:src|href|data-url)="([^"]*)"', page.text)
    assert sources == ["/openapi.json", "/docs/scalar.js"]
    assert "http" not in page.headers["Content-Security-Policy"]
    script = await api.get("/docs/scalar.js", headers={"Accept-Encoding": "identity"})
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "content-encoding" not in script.headers
    compressed = await api.get("/docs/scalar.js", headers={"Accept-Encoding": "gzip"})
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.content == script.content


def test_vendored_script_is_the_one_that_was_vendored() -> None:
    sums = dict(
        reversed(line.split("  ")) for line in (STATIC / "SHA256SUMS").read_text().splitlines()
    )
    packed = (STATIC / "standalone.js.gz").read_bytes()

    assert hashlib.sha256(packed).hexdigest() == sums["standalone.js.gz"]
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == sums["standalone.js"]
    assert "MIT License" in (STATIC / "LICENSE").read_text()
