"""The commands of `campaign`: how campaigns stand, for operators."""

from pathlib import Path
from typing import Any

import rich_click as click

from semalink.application.campaign_results import CampaignResults, results_of
from semalink.application.campaign_standing import CampaignStanding, why_slow
from semalink.domain.campaign import CampaignState
from semalink.domain.ids import ACCOUNT_PREFIX, CAMPAIGN_PREFIX, format_id, parse_id
from semalink.domain.money import format_credits
from semalink_adapters.postgres.campaign_results import PostgresCampaignResults
from semalink_adapters.postgres.campaign_watch import PostgresCampaignWatch
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_facts, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option

LIMIT_DEFAULT = 50


@click.group("campaign")
def campaign() -> None:
    """Show how campaigns stand, and what may be wrong with them."""


@campaign.command("list", epilog="Example: semalink campaign list --state sending")
@click.option(
    "--state",
    type=click.Choice([str(one) for one in CampaignState]),
    help="Only campaigns in this state.",
)
@click.option("--account", metavar="ACCOUNT", help="Only campaigns of this account, as acct_…")
@click.option("--all", "everything", is_flag=True, help="Also drafts, and what is long over.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    default=LIMIT_DEFAULT,
    show_default=True,
    help="How many at most.",
)
@json_option
@data_dir_option
def list_campaigns(*, as_json: bool, data_dir: Path, **asked: Any) -> None:
    """List campaigns that are at work, newest first: how far each is, and what may be wrong."""

    async def read(database: Database) -> list[CampaignStanding]:
        account = asked["account"]
        account_id = None if account is None else await database.account_id(account)
        found = await PostgresCampaignWatch(database.pool).campaigns(
            state=asked["state"],
            account_id=account_id,
            everything=asked["everything"],
            limit=asked["limit"],
        )
        return list(found)

    found = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": [_shown(one) for one in found]})
        return
    if not found:
        say("No campaign is at work; --all shows the others.")
    show_table(
        ("Campaign", "Account", "Name", "State", "Starts", "Messages", "Done %", "Look at"),
        [
            (
                format_id(CAMPAIGN_PREFIX, one.campaign_id),
                format_id(ACCOUNT_PREFIX, one.account_id),
                one.name,
                one.state,
                one.start_at,
                one.message_count,
                one.progress_percent,
                why_slow(one),
            )
            for one in found
        ],
    )


@campaign.command(
    "show", epilog="Example: semalink campaign show cmp_0193a5c2f0aa7d1c8b44c0de5eed0007"
)
@click.argument("campaign_id", metavar="CAMPAIGN")
@json_option
@data_dir_option
def show(*, campaign_id: str, as_json: bool, data_dir: Path) -> None:
    """Show how one campaign stands: counts, money, reasons of failure, and what waits."""
    asked = parse_id(CAMPAIGN_PREFIX, campaign_id)

    async def read(database: Database) -> tuple[CampaignStanding, CampaignResults]:
        found = None
        if asked is not None:
            found = await PostgresCampaignWatch(database.pool).campaign(asked)
        if found is None:
            fail(f"There is no campaign {campaign_id}.", exit_codes.NOT_FOUND)
        facts = await PostgresCampaignResults(database.pool).facts(
            found.campaign_id, found.account_id, found.mode
        )
        assert facts is not None, "a campaign that was found has results"
        return found, results_of(facts, "auto")

    standing, results = run_on_database(data_dir, read)
    if as_json:
        show_json(_shown(standing) | {"results": results})
        return
    _show(standing, results)


def _show(standing: CampaignStanding, results: CampaignResults) -> None:
    counts, money = results.counts, results.money
    show_facts(
        {
            "Campaign": format_id(CAMPAIGN_PREFIX, standing.campaign_id),
            "Account": format_id(ACCOUNT_PREFIX, standing.account_id),
            "Name": standing.name,
            "State": f"{standing.state}, {standing.mode}",
            "Problem": standing.problem_code,
            "Starts": standing.start_at,
            "Started": results.started_at,
            "Done": f"{results.progress_percent} % of {standing.message_count or 0}",
            "Forecast": results.forecast_finish_at,
            "Counts": ", ".join(
                f"{getattr(counts, name)} {name}"
                for name in counts.__struct_fields__
                if getattr(counts, name)
            ),
            "Waiting": ", ".join(f"{count} {how}" for how, count in standing.waiting.items()),
            "Parked pieces": standing.parked_pieces or None,
            "Reserved": format_credits(money.reserved_micros),
            "Charged": format_credits(money.charged_micros),
            "Refunded": format_credits(money.refunded_micros),
            "Still reserved": format_credits(money.still_reserved_micros),
            "Released": format_credits(money.released_micros),
            "Look at": why_slow(standing),
        }
    )
    if results.failures:
        show_table(
            ("Status", "Reason", "Messages"),
            [(one.status, one.code, one.count) for one in results.failures],
        )


def _shown(standing: CampaignStanding) -> dict[str, Any]:
    return {
        "id": format_id(CAMPAIGN_PREFIX, standing.campaign_id),
        "account_id": format_id(ACCOUNT_PREFIX, standing.account_id),
        "name": standing.name,
        "state": standing.state,
        "mode": standing.mode,
        "start_at": standing.start_at,
        "started_at": standing.started_at,
        "settled_at": standing.settled_at,
        "message_count": standing.message_count,
        "accepted": standing.accepted,
        "handed_over": standing.handed_over,
        "progress_percent": standing.progress_percent,
        "waiting": standing.waiting,
        "parked_pieces": standing.parked_pieces,
        "problem_code": standing.problem_code,
        "look_at": why_slow(standing),
        "as_of": standing.as_of,
    }
