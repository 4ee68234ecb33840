"""Pushes delivery reports to the intake when they are due, and again until it takes them."""

import asyncio
import heapq
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp

from semalink_ops.sandbox.line import Line
from semalink_ops.sandbox.settings import SandboxSettings
from semalink_ops.sandbox.takings import Taking
from semalink_ops.sandbox.wire_format import WireFormat

_RETRY_PAUSE_MAX_SECONDS = 15.0


@dataclass(slots=True)
class Report:
    """One report of one message, and the one that may only come after it."""

    line: Line
    taking: Taking
    wire: WireFormat
    status: str
    url: str
    #: Pushed only after the intake has taken this one, so that their order is certain.
    follower: "Report | None" = None
    #: Only the state changes, as getdlr shows it; nothing is pushed.
    silent: bool = False
    attempts: int = 0
    #: When it was due for the first time, by the event loop.
    first_due: float = 0.0
    #: Set once the intake has taken it, or never will.
    settled: asyncio.Future[None] | None = None

    def record_status(self) -> None:
        """Let getdlr see this status, unless a final one was there before."""
        taking = self.taking
        if taking.status == self.status:
            # Said again, it is the same report, of the same time.
            return
        if taking.status is None or self.status not in self.wire.passing:
            taking.status = self.status
            taking.reported_at = time.time()

    def settle(self) -> None:
        """Tell whoever waits that this report is done with."""
        if self.settled is not None and not self.settled.done():
            self.settled.set_result(None)


class ReportPusher:
    """A bounded heap of due times, and a fixed number of workers on one session."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        #: By due time; the second item keeps those of one time in order.
        self._waiting: list[tuple[float, int, Report]] = []
        self._ready: asyncio.Queue[Report] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        #: When the timer fires; kept here, as not every event loop's timers tell it.
        self._timer_due = math.inf
        self._order = 0
        self._under_way = 0
        self.is_running = False

    @property
    def pending(self) -> int:
        """How many reports wait for their time, for a retry or for a worker, or are under way."""
        return len(self._waiting) + self._ready.qsize() + self._under_way

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Push reports until the block ends; then stop every worker and wait for it."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.reports_concurrent),
            timeout=aiohttp.ClientTimeout(total=self._settings.report_timeout_seconds),
            trust_env=False,
        ) as session:
            workers = [
                asyncio.create_task(self._work(session))
                for _ in range(self._settings.reports_concurrent)
            ]
            self.is_running = True
            try:
                yield
            finally:
                self.is_running = False
                self.reset()
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def reset(self) -> None:
        """Forget every report that is not under way; nobody is told of them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_due = math.inf
        for _, _, report in self._waiting:
            report.settle()
        self._waiting.clear()
        with suppress(asyncio.QueueEmpty):
            while True:
                self._ready.get_nowait().settle()

    def schedule(self, report: Report, delay_seconds: float) -> None:
        """Push a report after a delay; when too many wait already, it is lost."""
        if self.pending >= self._settings.reports_pending_max:
            self._lose(report)
            return
        report.first_due = asyncio.get_running_loop().time() + delay_seconds
        self._wait_until(report.first_due, report)

    def _wait_until(self, due: float, report: Report) -> None:
        self._order += 1
        heapq.heappush(self._waiting, (due, self._order, report))
        if due < self._timer_due:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer_due = self._waiting[0][0]
        self._timer = loop.call_at(self._timer_due, self._release_due)

    def _release_due(self) -> None:
        self._timer = None
        self._timer_due = math.inf
        now = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.put_nowait(heapq.heappop(self._waiting)[2])
        if self._waiting:
            self._set_timer()

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            report = await self._ready.get()
            if report.attempts == 0:
                report.record_status()
            self._under_way += 1
            try:
                taken = report.silent or await self._push(session, report)
            finally:
                self._under_way -= 1
            if taken:
                self._finish(report)
            else:
                self._retry(report)

    async def _push(self, session: aiohttp.ClientSession, report: Report) -> bool:
        report.attempts += 1
        try:
            async with session.post(
                report.url,
                data=report.wire.render(report.taking, report.status),
                headers={"Content-Type": report.wire.content_type},
                allow_redirects=False,
            ) as answer:
                await answer.read()
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _finish(self, report: Report) -> None:
        report.line.reports["suppressed" if report.silent else "pushed"] += 1
        report.settle()
        if report.follower is not None:
            self.schedule(report.follower, 0)

    def _retry(self, report: Report) -> None:
        pause = self._settings.report_retry_first_seconds * 2 ** min(report.attempts - 1, 16)
        due = asyncio.get_running_loop().time() + min(pause, _RETRY_PAUSE_MAX_SECONDS)
        if due - report.first_due > self._settings.report_retry_limit_seconds:
            self._lose(report)
            return
        report.line.reports["retried"] += 1
        self._wait_until(due, report)

    def _lose(self, report: Report) -> None:
        lost: Report | None = report
        while lost is not None:
            lost.line.reports["lost"] += 1
            lost.settle()
            lost = lost.follower
