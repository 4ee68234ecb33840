"""The metrics of tasks, and of the imports of contacts that are worked off by them."""

from semalink_ops.observability.declared import Declared, Kind

TASKS_UNDONE = Declared(
    "semalink_tasks_undone",
    Kind.GAUGE,
    "Tasks that workers have still to do, parked ones included; told by the relay that publishes.",
    ("queue",),
)
TASKS_OLDEST_AGE_SECONDS = Declared(
    "semalink_tasks_oldest_age_seconds",
    Kind.GAUGE,
    "How long the oldest task has been undone, parked ones left out; 0 when there is none.",
    ("queue",),
)
CONTACT_ROWS = Declared(
    "semalink_contact_rows_total",
    Kind.COUNTER,
    "Rows of imported files that were checked: `added`, `updated`, `duplicate` or `invalid`.",
    ("outcome",),
)
DECLARED = (TASKS_UNDONE, TASKS_OLDEST_AGE_SECONDS, CONTACT_ROWS)
