"""Whether operators must agree to an account's campaigns."""

from pathlib import Path

import msgspec
import rich_click as click

from semalink.application.campaign_commands import RequireCampaignApproval
from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.output import json_option, show_facts, show_json
from semalink_ops.cli.settings_source import data_dir_option

_REQUIRED = "required"


class Approval(msgspec.Struct, frozen=True):
    """The rule of an account."""

    account_id: str
    campaigns_need_approval: bool


@click.command(
    "campaign-approval",
    epilog="Example: semalink account campaign-approval "
    "acct_0198c0de5ca17000800000000000000a required",
)
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("rule", type=click.Choice([_REQUIRED, "not-required"]))
@json_option
@data_dir_option
def campaign_approval(*, account_id: str, rule: str, as_json: bool, data_dir: Path) -> None:
    """Say whether an operator must agree to each campaign of an account."""
    is_required = rule == _REQUIRED

    async def change(database: Database) -> Approval:
        owner = await database.account_id(account_id)
        command = RequireCampaignApproval(owner, is_required, database.cause())
        await database.ledger.execute(command)
        return Approval(format_id(ACCOUNT_PREFIX, owner), is_required)

    approval = run_on_database(data_dir, change)
    if as_json:
        show_json(approval)
        return
    show_facts({"campaigns need approval": "yes" if is_required else "no"})
