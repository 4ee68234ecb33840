"""The command `routes`: how routes do, and what operators say of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rich_click as click

from semalink.application.history import HistoryFilter, HistoryRow
from semalink.application.route_reading import RouteOverride, RouteReading, RouteReport
from semalink.application.routes import (
    DedicateRoute,
    OverrideAccountRoute,
    OverrideRoute,
    OverrideSenderRoute,
)
from semalink.domain.content_check import is_sender_id
from semalink.domain.ids import ACCOUNT_PREFIX
from semalink.domain.route import route_id
from semalink.domain.routing import DEFAULT_ORDER, RouteMode
from semalink_adapters.postgres.route_reads import PostgresRouteReads
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.cli.timeline import facts_line
from semalink_ops.dedicated_routes import load_dedicated_routes
from semalink_ops.runtime import utc_now

HISTORY_DEFAULT = 50
_account_option = click.option(
    "--account", metavar="ACCOUNT", help="Only messages of this account, as acct_…"
)
_sender_option = click.option("--sender", help="Only messages of this sender id.")
_reason_option = click.option("--reason", required=True, help="For whoever asks later why.")


@click.group("routes")
def routes() -> None:
    """Show how routes to aggregators do, and override them."""


@routes.command("list", epilog="Example: semalink routes list")
@json_option
@data_dir_option
def list_routes(*, as_json: bool, data_dir: Path) -> None:
    """Show every route: its health now, its last day, and what operators said of it."""

    async def read(database: Database) -> tuple[list[RouteReport], list[RouteOverride]]:
        reading = _reading(database)
        return await reading.reports(utc_now()), await reading.overrides(utc_now())

    reports, overrides = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": reports, "overrides": overrides})
        return
    show_table(
        [
            "Route",
            "State",
            "Override",
            "Last minute",
            "Out of use",
            "Next probe",
            "Last day",
            "Trips",
            "p95 ms",
        ],
        [_row(report) for report in reports],
    )
    _show_overrides([each for each in overrides if each.scope != "route"])


@routes.command(
    "override",
    epilog="Example: semalink routes override celcom disable --reason maintenance --minutes 90\n\n"
    "Example: semalink routes override africastalking prefer --sender ACME --reason registered",
)
@click.argument("route")
@click.argument("mode", type=click.Choice(["prefer", "disable", "enable", "auto"]))
@_account_option
@_sender_option
@_reason_option
@click.option("--minutes", type=click.IntRange(min=1), help="Until it ends by itself.")
@json_option
@data_dir_option
def override(*, route: str, mode: str, minutes: int | None, **given: Any) -> None:
    """Say what becomes of a route: for everyone, for an account, or for a sender id.

    prefer puts it first, disable takes it out of use, enable keeps it in use however it does, auto
    leaves it to health again. For an account or a sender id there is only prefer; `clear` ends it.
    """
    if (given["account"] or given["sender"]) and mode != RouteMode.PREFER:
        fail("For an account or a sender id, only prefer can be said.", exit_codes.USAGE)
    ends_at = None if minutes is None else utc_now() + timedelta(minutes=minutes)
    _say(route, RouteMode(mode), ends_at, given)


@routes.command(
    "clear",
    epilog="Example: semalink routes clear celcom --reason 'maintenance is over'\n\n"
    "Example: semalink routes clear --sender ACME --reason registered",
)
@click.argument("route", required=False)
@_account_option
@_sender_option
@_reason_option
@json_option
@data_dir_option
def clear(*, route: str | None, **given: Any) -> None:
    """End an override of a route, of an account, or of a sender id."""
    if (route is None) == (given["account"] is None and given["sender"] is None):
        fail("Name a route, or --account, or --sender.", exit_codes.USAGE)
    _say(route, RouteMode.AUTO, None, given)


@routes.command(
    "dedicate",
    epilog="Example: semalink routes dedicate acct_0198c0de5ca17000800000000000000a celcom-acme "
    "--reason 'contract 2026/117'",
)
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("route", metavar="ROUTE|none")
@_reason_option
@json_option
@data_dir_option
def dedicate(*, account_id: str, route: str, reason: str, as_json: bool, data_dir: Path) -> None:
    """Give an enterprise account a route of its own; none takes it back."""

    async def change(database: Database) -> list[RouteOverride]:
        owner = await database.account_id(account_id)
        wanted = None if route == "none" else route
        reading = _reading(database)
        if wanted is not None and wanted not in reading.dedicated:
            known = ", ".join(reading.dedicated) or "none"
            fail(
                f"The dedicated routes are: {known}. SEMALINK_DEDICATED_ROUTES_PATH names them.",
                exit_codes.NOT_FOUND,
            )
        await database.ledger.execute(DedicateRoute(owner, wanted, reason, database.cause()))
        return await reading.overrides(utc_now())

    _show(run_on_database(data_dir, change), as_json=as_json)


@routes.command("history", epilog="Example: semalink routes history celcom")
@click.argument("route")
@click.option(
    "--hours", type=click.IntRange(1, 24 * 90), default=24, show_default=True,
    help="How far back.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(1, 200), default=HISTORY_DEFAULT, show_default=True,
    help="How many at most.",
)  # fmt: skip
@json_option
@data_dir_option
def history(*, route: str, hours: int, limit: int, as_json: bool, data_dir: Path) -> None:
    """List a route's trips, probes, recoveries and overrides, newest first."""

    async def read(database: Database) -> Sequence[HistoryRow]:
        _check(_reading(database), route)
        asked = HistoryFilter(
            subject_id=route_id(route), from_at=utc_now() - timedelta(hours=hours)
        )
        return (await database.history.page(asked, None, limit)).rows

    rows = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": rows})
        return
    show_table(
        ["At", "Name", "Actor", "Reason", "Facts"],
        [[row.decided_at, row.name, row.actor, row.reason, facts_line(_told(row))] for row in rows],
    )
    if not rows:
        say("Nothing happened to it in that time.")


def _say(
    route: str | None, mode: RouteMode, ends_at: datetime | None, given: dict[str, Any]
) -> None:
    account, sender, reason = given["account"], given["sender"], given["reason"]
    if account and sender:
        fail("Name an account or a sender id, not both.", exit_codes.USAGE)
    if sender and not is_sender_id(sender):
        fail(f"{sender} can be no sender id on the air.", exit_codes.USAGE)

    async def change(database: Database) -> list[RouteOverride]:
        reading = _reading(database)
        if route is not None:
            _check(reading, route)
            if mode is RouteMode.PREFER and route not in reading.shared:
                known = ", ".join(reading.shared)
                fail(f"Prefer one of those that all share: {known}.", exit_codes.USAGE)
        cause = database.cause()
        detour = route if mode is RouteMode.PREFER else None
        command: Any
        if sender:
            command = OverrideSenderRoute(sender, detour, reason, ends_at, cause)
        elif account:
            owner = await database.account_id(account)
            command = OverrideAccountRoute(owner, detour, reason, ends_at, cause)
        else:
            assert route is not None, "without an account or a sender id a route is named"
            command = OverrideRoute(route, mode, reason, ends_at, cause)
        await database.ledger.execute(command)
        return await reading.overrides(utc_now())

    _show(run_on_database(given["data_dir"], change), as_json=given["as_json"])


def _reading(database: Database) -> RouteReading:
    dedicated = [each.name for each in load_dedicated_routes(database.settings)]
    return RouteReading(PostgresRouteReads(database.pool), order=DEFAULT_ORDER, dedicated=dedicated)


def _check(reading: RouteReading, route: str) -> None:
    if route not in reading.names:
        fail(
            f"There is no route {route}. The routes are {', '.join(reading.names)}.",
            exit_codes.NOT_FOUND,
        )


def _row(report: RouteReport) -> list[Any]:
    minute, day = report.last_minute, report.last_day
    out = report.out_of_use
    said = report.override
    return [
        report.name,
        str(report.state) if not (out and report.state == "closed") else "closed in part",
        None if said is None else str(said.mode),
        f"{minute.errors} of {minute.attempts} failed",
        "; ".join(f"{each.network}: {each.cause}" for each in out) or None,
        min((each.probe_at for each in out), default=None),
        f"{day.errors} of {day.attempts} failed",
        day.trips,
        day.p95_ms,
    ]


def _show(overrides: list[RouteOverride], *, as_json: bool) -> None:
    if as_json:
        show_json({"items": overrides})
        return
    _show_overrides(overrides)
    if not overrides:
        say("No override holds: health decides.")


def _show_overrides(overrides: list[RouteOverride]) -> None:
    if overrides:
        show_table(
            ["For", "Which", "Route", "Mode", "Reason", "By", "Until"],
            [
                [
                    each.scope,
                    _subject(each),
                    each.route,
                    str(each.mode),
                    each.reason,
                    each.set_by,
                    each.expires_at and each.expires_at.astimezone(UTC),
                ]
                for each in overrides
            ],
        )


def _subject(override: RouteOverride) -> str:
    is_account = override.scope in {"account", "dedicated"}
    return ACCOUNT_PREFIX + override.subject if is_account else override.subject


def _told(row: HistoryRow) -> dict[str, Any]:
    return {name: fact for name, fact in row.facts.items() if name != "route"}
