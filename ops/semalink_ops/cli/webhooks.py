"""The command `webhooks`: what was sent to customers' endpoints, and sending it again."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import rich_click as click
from uuid_utils.compat import uuid7

from semalink.application.delivery_reading import (
    DeliveryDetail,
    DeliveryFilter,
    DeliveryView,
    RecoveryView,
    check_at_rest,
)
from semalink.application.endpoint_reading import EndpointView
from semalink.application.webhook_recovery import ResendDelivery, StartRecovery
from semalink.domain.ids import ACCOUNT_PREFIX, DELIVERY_PREFIX, ENDPOINT_PREFIX, parse_id
from semalink.domain.recovery import RecoveryMode, Wanted
from semalink_adapters.postgres.delivery_reads import PostgresDeliveryReads
from semalink_adapters.postgres.endpoint_reads import PostgresEndpointReads
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_facts, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.runtime import utc_now

LIMIT_DEFAULT = 50
RATE_MAX = 500


@click.group("webhooks")
def webhooks() -> None:
    """Show what was sent to customers' endpoints, and send it again."""


@webhooks.command("endpoints", epilog="Example: semalink webhooks endpoints")
@click.option("--account", help="Only endpoints of this account.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    default=LIMIT_DEFAULT,
    show_default=True,
    help="How many at most.",
)
@json_option
@data_dir_option
def endpoints(*, account: str | None, limit: int, as_json: bool, data_dir: Path) -> None:
    """List endpoints, newest first."""

    async def read(database: Database) -> list[EndpointView]:
        account_id = None if account is None else await database.account_id(account)
        reads = PostgresEndpointReads(database.pool)
        return list(await reads.endpoints(account_id, before=None, limit=limit))

    found = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": found})
        return
    show_table(
        ["Id", "Account", "State", "Address", "Events", "Created at"],
        [
            [
                one.id,
                one.account_id,
                one.disabled_reason or one.state,
                one.url,
                " ".join(one.event_types),
                one.created_at,
            ]
            for one in found
        ],
    )


@webhooks.command("deliveries", epilog="Example: semalink webhooks deliveries --state failed")
@click.option("--account", help="Only deliveries of this account.")
@click.option("--endpoint", help="Only deliveries to this endpoint.")
@click.option(
    "--state",
    type=click.Choice(["waiting", "sending", "delivered", "failed", "cancelled"]),
    help="Only deliveries that stand so.",
)
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=LIMIT_DEFAULT, show_default=True,
    help="How many at most.",
)  # fmt: skip
@json_option
@data_dir_option
def deliveries(
    *,
    account: str | None,
    endpoint: str | None,
    state: str | None,
    limit: int,
    as_json: bool,
    data_dir: Path,
) -> None:
    """List deliveries, newest event first."""
    endpoint_id = None if endpoint is None else _id(ENDPOINT_PREFIX, endpoint)

    async def read(database: Database) -> list[DeliveryView]:
        account_id = None if account is None else await database.account_id(account)
        wanted = DeliveryFilter(account_id, endpoint_id, state)
        return list(await _reads(database).deliveries(wanted, before=None, limit=limit))

    found = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": found})
        return
    show_table(
        ["Id", "Event", "State", "Attempts", "Last answer", "Next attempt at", "Created at"],
        [
            [
                one.id,
                one.event_type,
                "held" if one.is_held else one.state,
                one.attempts_made,
                one.last_status or one.last_error_class,
                one.next_attempt_at,
                one.created_at,
            ]
            for one in found
        ],
    )


@webhooks.command(
    "show", epilog="Example: semalink webhooks show whk_0198c0de5ca17000800000000000000a"
)
@click.argument("delivery", metavar="DELIVERY")
@json_option
@data_dir_option
def show(*, delivery: str, as_json: bool, data_dir: Path) -> None:
    """Show one delivery and every attempt of it."""
    delivery_id = _id(DELIVERY_PREFIX, delivery)
    detail = run_on_database(data_dir, lambda database: _detail(database, delivery_id))
    if as_json:
        show_json(detail)
        return
    show_facts(
        {
            "event": f"{detail.event_type} {detail.event_id}",
            "account": detail.account_id,
            "endpoint": detail.webhook_endpoint_id,
            "state": "held" if detail.is_held else detail.state,
            "given up": detail.given_up,
            "next attempt at": detail.next_attempt_at,
        }
    )
    show_table(
        ["Attempt", "At", "Trigger", "Outcome", "Status", "Error", "Milliseconds"],
        [
            [
                one.attempt,
                one.at,
                one.trigger,
                one.outcome,
                one.status,
                one.error_class,
                one.duration_ms,
            ]
            for one in detail.attempts
        ],
    )


@webhooks.command(
    "resend", epilog="Example: semalink webhooks resend whk_0198c0de5ca17000800000000000000a"
)
@click.argument("delivery", metavar="DELIVERY")
@json_option
@data_dir_option
def resend(*, delivery: str, as_json: bool, data_dir: Path) -> None:
    """Begin a new round of attempts of a delivery, due at once."""
    delivery_id = _id(DELIVERY_PREFIX, delivery)

    async def send(database: Database) -> DeliveryDetail:
        detail = await _detail(database, delivery_id)
        check_at_rest(detail)
        account_id = _id(ACCOUNT_PREFIX, detail.account_id)
        endpoint_id = _id(ENDPOINT_PREFIX, detail.webhook_endpoint_id)
        command = ResendDelivery(delivery_id, endpoint_id, account_id, database.cause())
        await database.ledger.execute(command)
        return await _detail(database, delivery_id)

    opened = run_on_database(data_dir, send)
    if as_json:
        show_json(opened)
        return
    say(f"An attempt of {delivery} is due now.")


@webhooks.command(
    "recover",
    epilog="Example: semalink webhooks recover acct_0198c0de5ca17000800000000000000a "
    "whe_0198c0de5ca17000800000000000000b --hours 6",
)
@click.argument("account", metavar="ACCOUNT")
@click.argument("endpoint", metavar="ENDPOINT")
@click.option(
    "--hours", type=click.IntRange(1, 720), required=True, help="How far back events are sent."
)
@click.option(
    "--mode",
    type=click.Choice([one.value for one in RecoveryMode]),
    default=RecoveryMode.FAILED.value,
    show_default=True,
    help="Events whose delivery failed, or that have none.",
)
@click.option(
    "--rate", type=click.IntRange(1, RATE_MAX), default=50, show_default=True,
    help="Events a second.",
)  # fmt: skip
@json_option
@data_dir_option
def recover(  # noqa: PLR0913 - the options of one command
    *,
    account: str,
    endpoint: str,
    hours: int,
    mode: str,
    rate: int,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Send everything again that an endpoint missed in the last hours."""
    endpoint_id = _id(ENDPOINT_PREFIX, endpoint)
    now = utc_now()
    wanted = Wanted(endpoint_id, RecoveryMode(mode), now - timedelta(hours=hours), now, (), rate)

    async def start(database: Database) -> RecoveryView:
        account_id = await database.account_id(account)
        command = StartRecovery(uuid7(), account_id, wanted, database.cause())
        answer = await database.ledger.execute(command)
        view = await _reads(database).recovery(answer.value, account_id)
        assert view is not None, "what was started is there"
        return view

    _show_recoveries([run_on_database(data_dir, start)], as_json=as_json)


@webhooks.command(
    "recoveries",
    epilog="Example: semalink webhooks recoveries whe_0198c0de5ca17000800000000000000a",
)
@click.argument("endpoint", metavar="ENDPOINT")
@json_option
@data_dir_option
def recoveries(*, endpoint: str, as_json: bool, data_dir: Path) -> None:
    """List the recoveries of an endpoint and how far they are, newest first."""
    endpoint_id = _id(ENDPOINT_PREFIX, endpoint)

    async def read(database: Database) -> list[RecoveryView]:
        reads = _reads(database)
        return list(await reads.recoveries(endpoint_id, None, before=None, limit=LIMIT_DEFAULT))

    _show_recoveries(run_on_database(data_dir, read), as_json=as_json)


def _show_recoveries(found: list[RecoveryView], *, as_json: bool) -> None:
    if as_json:
        show_json({"items": found})
        return
    show_table(
        ["Id", "State", "Mode", "Matched", "Sent", "Delivered", "Failed", "Skipped", "Created at"],
        [
            [
                one.id,
                one.state,
                one.mode,
                one.matched_count,
                one.sent_count,
                one.delivered_count,
                one.failed_count,
                one.skipped_count,
                one.created_at,
            ]
            for one in found
        ],
    )


async def _detail(database: Database, delivery_id: UUID) -> DeliveryDetail:
    detail = await _reads(database).delivery(delivery_id, None)
    if detail is None:
        fail("There is no delivery with this id.", exit_codes.NOT_FOUND)
    return detail


def _reads(database: Database) -> PostgresDeliveryReads:
    return PostgresDeliveryReads(database.pool)


def _id(prefix: str, text: str) -> UUID:
    found = parse_id(prefix, text)
    if found is None:
        fail(f"{text} is no such id: {prefix} and 32 hexadecimal digits.", exit_codes.USAGE)
    return found
