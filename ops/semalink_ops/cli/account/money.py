"""Moving credits by hand: payments, limits, transfers."""

from pathlib import Path

import rich_click as click
from uuid_utils.compat import uuid7

from semalink.application.accounts import TopUp, TopUpRecorded
from semalink.application.credits import BalanceAfter, SetCreditLimit, TransferCredits
from semalink.domain.ids import ACCOUNT_PREFIX, TRANSFER_PREFIX, format_id
from semalink.domain.money import format_credits
from semalink_ops.cli import exit_codes
from semalink_ops.cli.credits_type import Credits
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_facts, show_json
from semalink_ops.cli.settings_source import data_dir_option


@click.command(
    "top-up",
    epilog="Example: semalink account top-up acct_0198c0de5ca17000800000000000000a 1000 "
    "--reference INV-2041",
)
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("amount_micros", metavar="CREDITS", type=Credits())
@click.option("--reference", required=True, help="The payment's own reference, credited once.")
@click.option("--currency", default="", help="Of the money paid, as KES.")
@click.option("--paid-minor-units", type=click.IntRange(1), help="How much was paid, in cents.")
@json_option
@data_dir_option
def top_up(  # noqa: PLR0913 - the options of one command
    *,
    account_id: str,
    amount_micros: int,
    reference: str,
    currency: str,
    paid_minor_units: int | None,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Credit a payment.

    Giving the same reference again changes nothing, so it is safe to repeat.
    """
    if bool(currency) != (paid_minor_units is not None):
        fail("Give --currency and --paid-minor-units together.", exit_codes.USAGE)

    async def credit(database: Database) -> tuple[TopUpRecorded, bool]:
        paid_to = await database.account_id(account_id)
        command = TopUp(
            paid_to,
            amount_micros,
            reference,
            database.cause(),
            currency=currency,
            paid_minor_units=paid_minor_units,
        )
        answer = await database.ledger.execute(command)
        return answer.value, answer.replayed

    recorded, is_repetition = run_on_database(data_dir, credit)
    _show_receipt(recorded, is_repetition=is_repetition, as_json=as_json)


def _show_receipt(recorded: TopUpRecorded, *, is_repetition: bool, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "account_id": format_id(ACCOUNT_PREFIX, recorded.account_id),
                "amount_micros": recorded.amount_micros,
                "payment_reference": recorded.payment_reference,
                "posted_micros": recorded.posted_micros,
                "available_micros": recorded.available_micros,
                "replayed": is_repetition,
            }
        )
        return
    if is_repetition:
        say("This payment was credited before; nothing was changed.")
    show_facts(
        {
            "credited": format_credits(recorded.amount_micros),
            "available": format_credits(recorded.available_micros),
        }
    )


@click.command(
    "limit",
    epilog="Example: semalink account limit acct_0198c0de5ca17000800000000000000a 5000 "
    '--reason "contract 2026-14"',
)
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("limit_micros", metavar="CREDITS", type=Credits(least_micros=0))
@click.option("--reason", required=True, help="Why, for auditors.")
@json_option
@data_dir_option
def limit(
    *, account_id: str, limit_micros: int, reason: str, as_json: bool, data_dir: Path
) -> None:
    """Set how far an account may go below what it bought; 0 is prepaid."""

    async def change(database: Database) -> BalanceAfter:
        owner = await database.account_id(account_id)
        command = SetCreditLimit(owner, limit_micros, reason, database.cause())
        return (await database.ledger.execute(command)).value

    after = run_on_database(data_dir, change)
    if as_json:
        show_json(
            {
                "account_id": account_id,
                "credit_limit_micros": after.credit_limit_micros,
                "available_micros": after.available_micros,
                "entry": after.version,
            }
        )
        return
    show_facts(
        {
            "credit limit": format_credits(after.credit_limit_micros),
            "available": format_credits(after.available_micros),
        }
    )


@click.command(
    "transfer",
    epilog="Example: semalink account transfer acct_0198c0de5ca17000800000000000000a "
    'acct_0198c0de5ca17000800000000000000b 250 --reason "first credits"',
)
@click.argument("from_id", metavar="FROM")
@click.argument("to_id", metavar="TO")
@click.argument("amount_micros", metavar="CREDITS", type=Credits())
@click.option("--reason", required=True, help="Why, for auditors.")
@json_option
@data_dir_option
def transfer(
    *, from_id: str, to_id: str, amount_micros: int, reason: str, as_json: bool, data_dir: Path
) -> None:
    """Move credits between an agent and a customer of it that pays for itself."""
    transfer_id = uuid7()

    async def move(database: Database) -> None:
        giver, taker = await database.account_id(from_id), await database.account_id(to_id)
        command = TransferCredits(
            transfer_id, giver, taker, amount_micros, reason, database.cause()
        )
        await database.ledger.execute(command)

    run_on_database(data_dir, move)
    public_id = format_id(TRANSFER_PREFIX, transfer_id)
    if as_json:
        show_json({"transfer_id": public_id, "amount_micros": amount_micros})
        return
    show_facts({"transfer": public_id, "moved": format_credits(amount_micros)})
