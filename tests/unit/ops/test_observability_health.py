"""The small server of a worker process."""

import json

import aiohttp
import msgspec
import pytest

from semalink.web.problems import Problem
from semalink_ops.observability.health import serve_health
from semalink_ops.observability.metrics import Metrics

#: Those of every error of the APIs.
MEMBERS = {field.name for field in msgspec.structs.fields(Problem) if field.required}


async def all_well() -> dict[str, bool]:
    return {"database": True, "broker": True}


async def fetch(port: int, path: str, *, method: str = "GET") -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_live_answers_while_nothing_is_ready() -> None:
    async def ready() -> dict[str, bool]:
        return {"database": False}

    async with serve_health("127.0.0.1", 0, ready=ready, registry=Metrics().registry) as port:
        status, _, body = await fetch(port, "/health/live")

    assert (status, body) == (200, '{"status": "ok"}')


async def test_ready_names_each_check() -> None:
    async with serve_health("127.0.0.1", 0, ready=all_well, registry=Metrics().registry) as port:
        status, _, body = await fetch(port, "/health/ready")

    assert status == 200
    assert body == '{"status": "ok", "checks": {"database": "ok", "broker": "ok"}}'


async def test_ready_answers_a_problem_that_names_what_is_away() -> None:
    async def ready() -> dict[str, bool]:
        return {"database": True, "broker": False}

    async with serve_health("127.0.0.1", 0, ready=ready, registry=Metrics().registry) as port:
        status, content_type, body = await fetch(port, "/health/ready")

    problem = json.loads(body)
    assert (status, content_type) == (503, "application/problem+json")
    assert set(problem) == MEMBERS
    assert (problem["code"], problem["retryable"]) == ("service_unavailable", True)
    assert [error["pointer"] for error in problem["errors"]] == ["/checks/broker"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("POST", "/metrics", 405, "method_not_allowed")],
)
async def test_other_requests_are_answered_with_a_problem(
    method: str, path: str, status: int, code: str
) -> None:
    async with serve_health("127.0.0.1", 0, ready=all_well, registry=Metrics().registry) as port:
        found = await fetch(port, path, method=method)

    problem = json.loads(found[2])
    assert (found[0], found[1]) == (status, "application/problem+json")
    assert set(problem) == MEMBERS
    assert (problem["code"], problem["status"]) == (code, status)


async def test_metrics_answers_the_registry() -> None:
    metrics = Metrics()
    metrics.reports_shelved(3)

    async def ready() -> dict[str, bool]:
        return {}

    async with serve_health("127.0.0.1", 0, ready=ready, registry=metrics.registry) as port:
        status, content_type, body = await fetch(port, "/metrics")

    assert status == 200
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert "semalink_reports_shelved 3.0" in body
    assert "process_resident_memory_bytes" in body
