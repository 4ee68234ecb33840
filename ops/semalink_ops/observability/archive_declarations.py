"""The metrics of the archive."""

from semalink_ops.observability.declared import Declared, Kind

ARCHIVE_DUE_MONTHS = Declared(
    "semalink_archive_due_months",
    Kind.GAUGE,
    "Months of logs that are old enough for the archive and still in the database; 0 without one.",
)
ARCHIVE_LAST_SUCCESS_AGE_SECONDS = Declared(
    "semalink_archive_last_success_age_seconds",
    Kind.GAUGE,
    "Time since a month was archived last; 0 when none ever was.",
)

ARCHIVE = (ARCHIVE_DUE_MONTHS, ARCHIVE_LAST_SUCCESS_AGE_SECONDS)
