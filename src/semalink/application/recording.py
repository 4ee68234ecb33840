"""Recording what came of a call, also when the ledger is away for a while."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar, cast

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from semalink.application.bus import NotReady
from semalink.application.ledger import Answer, Command, Ledger, LedgerUnavailable

T = TypeVar("T")

#: How long an outcome is held in memory while the database is away.
RECORD_SECONDS_MAX = 120.0


class Recorder:
    """Executes commands; one that nobody decides is tried again for a bounded time."""

    def __init__(
        self,
        ledger: Ledger,
        now: Callable[[], datetime],
        *,
        seconds_max: float = RECORD_SECONDS_MAX,
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._seconds_max = seconds_max

    async def record(self, command: Command[T]) -> T:
        """Execute and return the answer; raises NotReady when the ledger stays away."""
        try:
            return (await self._ledger.execute(command)).value
        except LedgerUnavailable:
            return await self._record_later(command)

    async def _record_later(self, command: Command[T]) -> T:
        async def decide_now() -> Answer[T]:
            # The clock goes on while the ledger is away, and validity is judged by it.
            again = cast("Command[T]", _at(command, self._now()))
            return await self._ledger.execute(again)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(LedgerUnavailable),
            wait=wait_random_exponential(multiplier=0.05, max=2.0),
            stop=stop_after_delay(self._seconds_max),
            reraise=True,
        )
        try:
            answer: Answer[T] = await retrying(decide_now)
        except LedgerUnavailable as away:
            raise NotReady(str(away)) from away
        return answer.value


def _at(command: Any, now: datetime) -> Any:
    again = replace(command, cause=replace(command.cause, at=now))
    parts = getattr(command, "commands", None)
    return again if parts is None else replace(again, commands=[_at(one, now) for one in parts])
