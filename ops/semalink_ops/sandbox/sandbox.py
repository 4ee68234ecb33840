"""All of the sandbox that lives as long as the process: lines, handsets, pending reports."""

import asyncio
import hmac
import time

from aiohttp import web

from semalink_ops.sandbox.line import Line
from semalink_ops.sandbox.reports import Report, ReportPusher
from semalink_ops.sandbox.settings import Credential, SandboxSettings
from semalink_ops.sandbox.takings import Order, Taking, Takings
from semalink_ops.sandbox.wire_format import WireFormat


class Sandbox:
    """What every route shares."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        names = sorted({credential.aggregator for credential in settings.credentials.values()})
        self.lines = {name: Line(name, settings.controls) for name in names}
        self.reports = ReportPusher(settings)
        self.takings = Takings(
            capacity=settings.messages_max, reference_base=_reference_base(settings)
        )
        #: Credentials that were wrong belong to no line.
        self.strangers = 0
        #: Set at shutdown, so that silent connections end.
        self.stopping = False

    def reset(self) -> None:
        """Go back to how it started, except that sequences and references go on."""
        self.reports.reset()
        self.takings.reset()
        self.strangers = 0
        for line in self.lines.values():
            line.reset(self.settings.controls)

    def credential_of(self, name: str, api_key: str) -> Credential | None:
        """Find whom a partnerID or username stands for; None when the pair is wrong."""
        credential = self.settings.credentials.get(name)
        if credential is not None and hmac.compare_digest(
            credential.api_key.encode(), api_key.encode()
        ):
            return credential
        self.strangers += 1
        return None

    def take(self, order: Order, line: Line) -> Taking:
        """Put one message on its handset."""
        line.submissions["taken"] += 1
        tick = asyncio.get_running_loop().time()
        return self.takings.add(order, aggregator=line.name, now=time.time(), tick=tick)

    def report(
        self, taking: Taking, wire: WireFormat, credential: Credential, *, at_once: bool = False
    ) -> asyncio.Future[None] | None:
        """Plan the reports of a message; with `at_once` the future ends with the first one."""
        line = self.lines[credential.aggregator]
        first = self._reports_of(taking, wire, credential)
        if first is None:
            return None
        if at_once:
            first.settled = asyncio.get_running_loop().create_future()
        self.reports.schedule(first, 0 if at_once else line.controls.report_delay_ms / 1000)
        return first.settled

    def _reports_of(
        self, taking: Taking, wire: WireFormat, credential: Credential
    ) -> Report | None:
        statuses = wire.statuses[taking.order.act]
        if not statuses:
            return None
        line = self.lines[credential.aggregator]
        if line.duplicates_report():
            statuses = (*statuses, statuses[-1])
        silent = line.drops_reports()
        url = f"{self.settings.dlr_url}/dlr/{credential.aggregator}/{credential.secret}"
        next_report: Report | None = None
        for status in reversed(statuses):
            report = Report(line, taking, wire, status, url, next_report, silent)
            next_report = report
        return next_report


def _reference_base(settings: SandboxSettings) -> int:
    # Microseconds: a later start begins above every reference that an earlier one gave out.
    return time.time_ns() // 1000 if settings.reference_base is None else settings.reference_base


SANDBOX = web.AppKey("SANDBOX", Sandbox)
