"""How the archive stands: what is due, and when something was archived last."""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from semalink_adapters.postgres.archived_months import MonthBook, open_owner
from semalink_ops.archiving.calendar import end_of_due, months_in_database
from semalink_ops.settings import Settings


@dataclass(frozen=True, slots=True)
class Standing:
    """What the archive is behind."""

    #: Months of logs that are due and in the database; restored ones are there on purpose.
    due_months: int
    #: Since a month was archived last; 0 when none ever was.
    age_seconds: float


def read_standing(settings: Settings, now: datetime) -> Standing:
    """Return how the archive stands; without one, nothing is ever due."""
    with closing(open_owner(settings.database_url.reveal())) as connection:
        rows = MonthBook(connection).all()
        restored = {(row.month, row.log) for row in rows if row.state in ("attached", "restored")}
        due = [
            month
            for month in months_in_database(connection)
            if month.bounds[1] <= end_of_due(now, None) and month not in restored
        ]
    archived = [row.archived_at for row in rows if row.archived_at is not None]
    age_seconds = (now - max(archived)).total_seconds() if archived else 0.0
    return Standing(0 if settings.archive_url is None else len(due), age_seconds)
