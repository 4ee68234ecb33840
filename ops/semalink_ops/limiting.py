"""Rate limits of one process: opened, swept, and given back at its end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from semalink.application.rate_limiting import RateLimiter
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.rate_buckets import PostgresBuckets
from semalink_ops.bootstrap import Core
from semalink_ops.observability.limit_metrics import LimitMetrics

#: One asks for what requests need, one gives back what none does.
POOL_SIZE = 2
#: How often leases are looked through for what nobody uses.
SWEEP_SECONDS = 0.25


@asynccontextmanager
async def open_limiter(core: Core) -> AsyncIterator[RateLimiter]:
    """Open the limiter of this process; what it leased goes back when it ends."""
    # Connections of its own: reads that wait for one must not make leases late.
    pool = open_pool(core.settings.database_url.reveal(), size=POOL_SIZE)
    await pool.open(wait=False)
    limiter = RateLimiter(PostgresBuckets(pool), time.monotonic_ns, LimitMetrics(core.metrics))
    sweeping = asyncio.create_task(_sweep(limiter))
    try:
        yield limiter
    finally:
        sweeping.cancel()
        await limiter.close()
        await pool.close()


async def _sweep(limiter: RateLimiter) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await limiter.give_back_idle()
