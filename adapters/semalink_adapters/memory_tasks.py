"""Tasks in memory: for tests, held to the same contract as the real ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from semalink.application.tasks import QueueMark, Task, WaitingTask


@dataclass(slots=True)
class _Row:
    task: Task
    state: str = "waiting"
    round: int = 0
    published_at: datetime | None = None


class MemoryTasks:
    """A TaskBook and a TaskReading; parked tasks have their dead letters."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._rows: dict[UUID, _Row] = {}

    def add(self, task: Task) -> None:
        """Ask for a task, once."""
        self._rows.setdefault(task.task_id, _Row(task))

    def end(self, task_id: UUID) -> bool:
        """End a task; False when it was done before."""
        return self._rows.pop(task_id, None) is not None

    async def waiting(self, limit: int) -> Sequence[WaitingTask]:
        """Return tasks that the broker must be given, oldest first."""
        return [
            WaitingTask(task_id, row.task.queue, row.task.kind, row.round)
            for task_id, row in self._rows.items()
            if row.state == "waiting"
        ][:limit]

    async def published(self, task_ids: Sequence[UUID]) -> None:
        """Record that the broker has them."""
        for task_id in task_ids:
            row = self._rows.get(task_id)
            if row is not None and row.state == "waiting":
                row.state, row.published_at = "queued", self._now()

    async def take_back_lost(self, mark: QueueMark, missing_seconds: float) -> int:
        """Have tasks published again that the broker has lost; return how many."""
        missing_since = self._now() - timedelta(seconds=missing_seconds)
        lost = [
            row
            for row in self._rows.values()
            if row.task.queue == mark.queue
            and row.state == "queued"
            and row.published_at is not None
            and (
                row.published_at < mark.created_at
                or (mark.is_empty and row.published_at < missing_since)
            )
        ]
        for row in lost:
            row.state, row.round = "waiting", row.round + 1
        return len(lost)

    async def find(self, task_id: UUID) -> Task | None:
        """Return a task; None when it is done."""
        row = self._rows.get(task_id)
        return None if row is None else row.task

    async def park(self, task_id: UUID) -> None:
        """Have nobody publish it again by itself."""
        row = self._rows.get(task_id)
        if row is not None:
            row.state = "parked"
