"""What a rate limit costs a request: the check in memory, beside one that does nothing."""

import asyncio
import contextlib
import time
from typing import Any
from uuid import UUID, uuid4

from bench.platform import Servers
from semalink.application.rate_limiting import RateLimiter
from semalink.application.reading import Caller
from semalink.domain.limit import Limit
from semalink.domain.rate_limit import Limits
from semalink.web.dependencies import Limiter, Unlimited
from semalink.web.limiting import admit_messages
from semalink.web.problems import RateLimited
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.rate_buckets import PostgresBuckets
from semalink_ops.observability.limit_metrics import LimitMetrics
from semalink_ops.observability.metrics import Metrics

CHECKS = 200_000
#: Others get their turn after so many, as requests do between awaits.
_AT_A_STRETCH = 20
_RUN = Limits(Limit(100_000, 1_000_000))
_DRY = Limits(Limit(1, 1))


class _Arrival:
    """As much of a request as the limit looks at."""

    limit_headers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, caller: Caller) -> None:
        self.caller = caller


class _Deps:
    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter


def measure(servers: Servers, *, quick: bool) -> None:
    """Print what a check takes, headers of the answer included, and how often the store was asked.

    The times are of single checks, on a store that is asked as in production.
    """
    asyncio.run(_measure(servers.postgres.dsn, CHECKS // 10 if quick else CHECKS))


async def _measure(database_url: str, count: int) -> None:
    print("\nRate limiter: one check, headers included")
    async with open_pool(database_url, size=2) as pool:
        store = _Counting(PostgresBuckets(pool))
        limiter = RateLimiter(store, time.monotonic_ns, LimitMetrics(Metrics()))
        for name, chosen, limits in (
            ("no limit", Unlimited(), _RUN),
            ("let in", limiter, _RUN),
            ("refused", limiter, _DRY),
        ):
            store.count = 0
            await _print(name, chosen, limits, count)
            if store.count:
                print(f"    {store.count} questions to the store", flush=True)
        await limiter.close()


async def _print(name: str, limiter: Any, limits: Limits, count: int) -> None:
    caller = _caller(limits)
    deps: Any = _Deps(limiter)
    times = []
    began = time.perf_counter()
    for number in range(count):
        arrival: Any = _Arrival(caller)
        started = time.perf_counter_ns()
        with contextlib.suppress(RateLimited):
            await admit_messages(deps, arrival, 1)
        times.append(time.perf_counter_ns() - started)
        if number % _AT_A_STRETCH == 0:
            await asyncio.sleep(0)
    times.sort()
    elapsed = time.perf_counter() - began
    print(
        f"  {name:<12} p50 {times[count // 2] / 1_000:>6.2f} µs"
        f"  p99 {times[count * 99 // 100] / 1_000:>6.2f} µs"
        f"  mean {sum(times) / count / 1_000:>6.2f} µs  {count / elapsed:>8.0f}/s",
        flush=True,
    )


class _Counting:
    """A store that counts how often it is asked."""

    def __init__(self, store: PostgresBuckets) -> None:
        self._store = store
        self.count = 0

    async def lease(self, asks: Any) -> Any:
        self.count += 1
        return await self._store.lease(asks)


def _caller(limits: Limits) -> Caller:
    account_id: UUID = uuid4()
    return Caller(
        account_id, account_id, uuid4(), "live", frozenset(), frozenset(), "enterprise",
        limits=limits,
    )  # fmt: skip
