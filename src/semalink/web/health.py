"""Health pages: whether the process runs, whether it can serve, and its figures."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.web.dependencies import Health
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import RETRY_AFTER_SECONDS, EdgeRefusal, FieldProblem
from semalink.web.reply import Reply


class Live(msgspec.Struct, frozen=True):
    """The process runs."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Requests can be served; every check is named and says "ok"."""

    status: str
    checks: dict[str, str]


LIVE = Operation(
    method="GET",
    path="/health/live",
    operation_id="getLiveness",
    tag="Health",
    summary="Whether the process runs",
    description="Answers while the event loop turns, whatever else is away.",
    success=Success(200, "It runs.", Live, {"status": "ok"}),
)
READY = Operation(
    method="GET",
    path="/health/ready",
    operation_id="getReadiness",
    tag="Health",
    summary="Whether requests can be served",
    description="503 while something that requests need does not work; errors says what.",
    success=Success(200, "They can.", Readiness, {"status": "ok", "checks": {"ledger": "ok"}}),
    problems=("service_unavailable",),
)
METRICS = Operation(
    method="GET",
    path="/metrics",
    operation_id="getMetrics",
    tag="Health",
    summary="Figures for Prometheus",
    description="The metrics of this process in the text format of Prometheus.",
    success=Success(200, "The metrics.", media_type="text/plain"),
)


class HealthPages:
    """Answers for the process."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def live(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer that the process runs."""
        return Reply(200, msgspec.json.encode(Live("ok")))

    async def ready(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with what every check says."""
        checks = self._health.checks
        results = await asyncio.gather(*(self._in_time(check()) for check in checks.values()))
        failed = [name for name, works in zip(checks, results, strict=True) if not works]
        if failed:
            raise _not_ready(failed)
        return Reply(200, msgspec.json.encode(Readiness("ok", dict.fromkeys(checks, "ok"))))

    async def metrics(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the metrics."""
        page, content_type = self._health.metrics()
        return Reply(200, page, media_type=content_type.encode())

    async def _in_time(self, check: Awaitable[bool]) -> bool:
        try:
            return await asyncio.wait_for(check, self._health.check_seconds_max)
        except TimeoutError:
            return False


def _not_ready(failed: list[str]) -> EdgeRefusal:
    return EdgeRefusal(
        "service_unavailable",
        f"These do not work: {', '.join(failed)}.",
        errors=[
            FieldProblem(f"/checks/{name}", "check_failed", "The check did not pass in time.")
            for name in failed
        ],
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def health_routes(health: Health) -> list[HTTPRouteHandler]:
    """Return the routes that every process has."""
    pages = HealthPages(health)
    return [route(LIVE, pages.live), route(READY, pages.ready), route(METRICS, pages.metrics)]
