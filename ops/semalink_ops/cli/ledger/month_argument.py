"""The argument that names a month."""

from semalink.domain.calendar import month_bounds
from semalink_adapters.postgres.months import PostgresMonths
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database
from semalink_ops.cli.failures import fail


def checked_month(month: str) -> str:
    """Return a month as it was written, or end the command."""
    try:
        month_bounds(month)
    except ValueError:
        fail(f"{month} is no month; write it as 2026-11.", exit_codes.USAGE)
    return month


def months_of(database: Database) -> PostgresMonths:
    """Return what closes months and reads statements."""
    return PostgresMonths(database.pool, database.ledger, database.settings.database_url.reveal())
