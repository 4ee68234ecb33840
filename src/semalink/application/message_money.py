"""What becomes of a message's money: charged when an aggregator took it, else given back."""

from semalink.application.ledger import Books
from semalink.application.ports import Receipt
from semalink.domain import message_steps
from semalink.domain.cause import Cause
from semalink.domain.credit_account import Charge, CreditAccount
from semalink.domain.draft import Mode
from semalink.domain.message import Message
from semalink.domain.networks import network_of_code


def take_receipt(
    books: Books,
    message: Message,
    attempt: int,
    aggregator: str,
    receipt: Receipt,
    cause: Cause,
) -> None:
    """Record a receipt, and charge the reservation at most once.

    A message that was sent on two routes has two receipts, and reports may come to either.
    """
    if message.reference == receipt.reference:
        return
    charged_micros, charge_version = 0, None
    if message.asked.mode == Mode.LIVE:
        credit_account = books.credit_account(message.asked.billing_account_id)
        is_open = message.reservation_id in credit_account.open_reservations
        if is_open and message.charge_version is None:
            charge = _charge(credit_account, message, cause)
            # What the sender pays, which is not what an agent pays for its customer.
            charged_micros, charge_version = charge.price_micros, charge.version
    message.record_receipt(
        attempt,
        aggregator,
        receipt.reference,
        cause,
        charged_micros=charged_micros,
        network=network_of_code(receipt.network),
        cost=receipt.cost,
        charge_version=charge_version,
        answer=receipt.answer,
    )


def _charge(credit_account: CreditAccount, message: Message, cause: Cause) -> Charge:
    asked = message.asked
    if asked.campaign_id is None:
        return credit_account.charge(message.id, cause)
    is_on_behalf = asked.account_id != asked.billing_account_id
    return credit_account.charge(
        asked.campaign_id,
        cause,
        amount_micros=asked.price_micros if asked.cost_micros is None else asked.cost_micros,
        price_micros=asked.price_micros if is_on_behalf else None,
        message_id=message.id,
    )


def end_unsent(
    books: Books,
    message: Message,
    ending: type[message_steps.Rejected]
    | type[message_steps.Expired]
    | type[message_steps.Unknown],
    failure_code: str,
    cause: Cause,
) -> None:
    """End a message that nobody was charged for and give its credits back."""
    if message.asked.mode == Mode.LIVE:
        credit_account = books.credit_account(message.asked.billing_account_id)
        # What a campaign does not spend is given back at once, when nothing of it is left to send.
        if message.id in credit_account.open_reservations:
            credit_account.release(message.id, cause)
    message.end(ending, failure_code, cause)
