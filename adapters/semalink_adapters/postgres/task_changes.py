"""Tasks as statements, for the transaction of what calls for the work and of its effect."""

from typing import Any
from uuid import UUID

import msgspec

from semalink.application.tasks import Task

Statement = tuple[str, tuple[Any, ...]]

ADD_TASK = """
INSERT INTO tasks (task_id, queue, kind, account_id, payload)
VALUES (%s, %s, %s, %s, %s::jsonb) ON CONFLICT DO NOTHING"""

# First in the transaction of the effect: of two workers the second one waits here, then finds
# nothing and leaves it.
TAKE_TASK = "DELETE FROM tasks WHERE task_id = %s"

PARK_TASK = """
UPDATE tasks SET state = 'parked', published_at = now() WHERE task_id = %s AND state <> 'parked'"""

# From here on the publisher answers for it again, should the broker lose it.
UNPARK_TASK = """
UPDATE tasks SET state = 'queued', published_at = now() WHERE task_id = %s AND state = 'parked'"""


def add_task(task: Task) -> Statement:
    """Return what asks for a task, once."""
    payload = msgspec.json.encode(dict(task.payload)).decode()
    return ADD_TASK, (task.task_id, task.queue, task.kind, task.account_id, payload)


def end_task(task_id: UUID) -> Statement:
    """Return what ends a task; the row count says whether it was still to be done."""
    return TAKE_TASK, (task_id,)
