"""The command `ledger reconcile`."""

from datetime import date, datetime
from pathlib import Path

import rich_click as click

from semalink.application.reconciliation import DayOfRoute, Reconciliation, Suspect
from semalink.domain.money import format_credits
from semalink_adapters.postgres.reconciliation import PostgresReconciliation
from semalink_ops.asgi import load_provider_rates
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import end_with, fail
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command(
    "reconcile",
    epilog="Example: semalink ledger reconcile --from 2026-11-01 --to 2026-11-30 --tolerance 0.5",
)
@click.option("--from", "first", type=_DAY, required=True, help="The first day.")
@click.option("--to", "last", type=_DAY, help="The last day; the first one unless given.")
@click.option("--route", help="One aggregator only.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    help="Drift in percent of what was expected that is let pass.",
)
@click.option("--explain", is_flag=True, help="Name the messages behind each drift.")
@json_option
@data_dir_option
def reconcile(  # noqa: PLR0913 - what a person may ask
    *,
    first: datetime,
    last: datetime | None,
    route: str | None,
    tolerance: float,
    explain: bool,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Compare what aggregators say they charged with what our segments cost by contract.

    Days are those of East Africa Time. Ends with 6 when a day drifts by more than the tolerance.
    """
    start, end = first.date(), (last or first).date()
    if end < start:
        fail("--to must not be before --from.", exit_codes.USAGE)

    async def read(
        database: Database,
    ) -> tuple[list[DayOfRoute], dict[tuple[date, str], list[Suspect]]]:
        book = PostgresReconciliation(database.pool)
        reconciliation = Reconciliation(book, load_provider_rates(database.settings))
        days = await reconciliation.days(start, end, route)
        suspects = {
            (day.day, day.route): await reconciliation.explain(day.day, day.route)
            for day in days
            if explain and drifts(day, tolerance)
        }
        return days, suspects

    days, suspects = run_on_database(data_dir, read)
    if as_json:
        show_json(
            {
                "items": days,
                "messages": [
                    {"day": day, "route": name, "items": found}
                    for (day, name), found in suspects.items()
                ],
            }
        )
    else:
        _show(days, suspects)
    drifting = sum(drifts(day, tolerance) for day in days)
    if drifting:
        say(f"{drifting} of {len(days)} drift by more than {tolerance:g} %.")
        end_with(exit_codes.DIFFERENCES)


def drifts(day: DayOfRoute, tolerance_percent: float) -> bool:
    """Tell whether a day is off by more than is let pass."""
    if day.drift_micros is None or day.expected_micros is None:
        return False
    return abs(day.drift_micros) * 100 > day.expected_micros * tolerance_percent


def _show(days: list[DayOfRoute], suspects: dict[tuple[date, str], list[Suspect]]) -> None:
    show_table(
        ["Day", "Route", "Messages", "Segments", "Billed", "Expected", "Reported", "By", "Drift"],
        [
            [
                day.day,
                day.route,
                day.message_count,
                day.segments,
                format_credits(day.billed_micros),
                _amount(day.expected_micros),
                _amount(day.reported_micros),
                day.source,
                _amount(day.drift_micros),
            ]
            for day in days
        ],
    )
    for (day, name), found in suspects.items():
        say(f"\n{day} {name}: {len(found)} messages that may explain it")
        show_table(
            ["Message", "Country", "Network", "Segments", "Expected", "Reported", "Reason"],
            [
                [
                    one.id,
                    one.country,
                    one.network,
                    one.segments,
                    _amount(one.expected_micros),
                    _amount(one.reported_micros),
                    one.reason,
                ]
                for one in found
            ],
        )


def _amount(micros: int | None) -> str | None:
    return None if micros is None else format_credits(micros)
