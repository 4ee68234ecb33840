"""One aggregator while it runs: its switches, its dice and its counters."""

import asyncio
from collections import Counter
from random import Random

from semalink_ops.sandbox.controls import Controls

#: Each decision has dice of its own, so that turning one switch does not disturb the others.
_DICE = ("latency", "error", "answer_lost", "report_drop", "report_duplicate")


class Line:
    """The line to one aggregator; every request of its credentials passes here."""

    def __init__(self, name: str, controls: Controls) -> None:
        self.name = name
        #: Messages taken and refused, and requests cut short, by outcome.
        self.submissions: Counter[str] = Counter()
        #: Reports by outcome.
        self.reports: Counter[str] = Counter()
        self.set_controls(controls)

    def set_controls(self, controls: Controls) -> None:
        """Apply the switches from the next request on, and start the dice from their seed."""
        self.controls = controls
        # Repeatable faults are the aim; nothing here is a secret.
        self._dice = {
            name: Random(f"{controls.seed}:{self.name}:{name}")  # noqa: S311
            for name in _DICE
        }
        self._tokens = float(controls.throttle_per_second)
        self._refilled_at: float | None = None

    def reset(self, controls: Controls) -> None:
        """Apply the switches and begin to count again."""
        self.set_controls(controls)
        self.submissions.clear()
        self.reports.clear()

    def _happens(self, dice: str, rate: float) -> bool:
        return rate > 0 and self._dice[dice].random() < rate

    def errs(self) -> bool:
        """Throw for a passing fault."""
        return self._happens("error", self.controls.error_rate)

    def loses_answer(self) -> bool:
        """Throw for an answer that never arrives."""
        return self._happens("answer_lost", self.controls.answer_lost_rate)

    def drops_reports(self) -> bool:
        """Throw for a message whose reports are not pushed."""
        return self._happens("report_drop", self.controls.drop_reports_rate)

    def duplicates_report(self) -> bool:
        """Throw for a message whose last report is pushed twice."""
        return self._happens("report_duplicate", self.controls.duplicate_reports_rate)

    def latency_seconds(self) -> float:
        """Say how long the next request takes."""
        jitter_ms = self.controls.latency_jitter_ms
        if jitter_ms == 0:
            return self.controls.latency_ms / 1000
        return (self.controls.latency_ms + jitter_ms * self._dice["latency"].random()) / 1000

    def throttles(self) -> bool:
        """Spend one request of this second, or say that none is left."""
        rate = self.controls.throttle_per_second
        if rate == 0:
            return False
        now = asyncio.get_running_loop().time()
        if self._refilled_at is not None:
            self._tokens = min(rate, self._tokens + (now - self._refilled_at) * rate)
        self._refilled_at = now
        if self._tokens < 1:
            return True
        self._tokens -= 1
        return False
