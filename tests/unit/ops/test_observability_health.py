"""The small server of a worker process."""

import aiohttp
import pytest

from semalink_ops.observability.health import serve_health
from semalink_ops.observability.metrics import Metrics


async def fetch(port: int, path: str) -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_live_answers_while_nothing_is_ready() -> None:
    async def ready() -> dict[str, bool]:
        return {"database": False}

    async with serve_health("127.0.0.1", 0, ready=ready, registry=Metrics().registry) as port:
        status, _, body = await fetch(port, "/health/live")

    assert (status, body) == (200, '{"status": "live"}')


@pytest.mark.parametrize(
    ("broker", "status", "word"), [("true", 200, "ready"), ("false", 503, "not_ready")]
)
async def test_ready_names_each_check(broker: str, status: int, word: str) -> None:
    async def ready() -> dict[str, bool]:
        return {"database": True, "broker": broker == "true"}

    async with serve_health("127.0.0.1", 0, ready=ready, registry=Metrics().registry) as port:
        found = await fetch(port, "/health/ready")

    checks = f'{{"database": true, "broker": {broker}}}'
    assert found[0] == status
    assert found[2] == f'{{"status": "{word}", "checks": {checks}}}'


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
