"""Double entry: each ledger entry as balanced postings to the accounts of the accountants."""

from dataclasses import astuple, dataclass, fields
from functools import singledispatch

from semalink.domain.adjustment import Category
from semalink.domain.credit_entries import (
    Adjusted,
    Charged,
    Refunded,
    Released,
    ReservationExpired,
    Reserved,
    ToppedUp,
    TransferredIn,
    TransferredOut,
)


@dataclass(frozen=True, slots=True)
class Postings:
    """What one entry posts, in signed micros: debits are positive, credits negative.

    The fields are the accounts of the journal. Their sum is always nothing.
    """

    #: What customers hold and may spend: owed to them, so it stands in credit.
    customer_credits: int = 0
    #: The part that is set aside for messages under way.
    reserved: int = 0
    #: Received for credits.
    payments: int = 0
    revenue: int = 0
    #: Charges that were given back.
    refunds: int = 0
    #: Corrections, goodwill and write-offs.
    adjustments: int = 0
    #: Balances that were brought along from elsewhere.
    opening_balances: int = 0
    #: Credits on their way between two accounts: nothing over both.
    transfers: int = 0
    #: What customers owe their agents beyond what the agents paid.
    agent_receivables: int = 0
    agent_margin: int = 0

    @property
    def sum_micros(self) -> int:
        """The sum over all accounts."""
        return sum(astuple(self))


#: The accounts of the journal, in the order of a trial balance.
JOURNAL_ACCOUNTS: tuple[str, ...] = tuple(one.name for one in fields(Postings))


@singledispatch
def postings_of(entry: object) -> Postings:  # noqa: ARG001 - the others look at it
    """Return what an entry posts; nothing when it moves no money, as a change of a limit."""
    return Postings()


@postings_of.register
def _(entry: ToppedUp) -> Postings:
    return Postings(payments=entry.amount_micros, customer_credits=-entry.amount_micros)


@postings_of.register
def _(entry: Reserved) -> Postings:
    return Postings(customer_credits=entry.amount_micros, reserved=-entry.amount_micros)


@postings_of.register
def _(entry: Charged) -> Postings:
    margin = margin_micros_of(entry)
    return Postings(
        reserved=entry.amount_micros,
        revenue=-entry.amount_micros,
        agent_receivables=margin,
        agent_margin=-margin,
    )


@postings_of.register(Released)
@postings_of.register(ReservationExpired)
def _(entry: Released | ReservationExpired) -> Postings:
    return Postings(reserved=entry.amount_micros, customer_credits=-entry.amount_micros)


@postings_of.register
def _(entry: Refunded) -> Postings:
    margin = margin_micros_of(entry)
    return Postings(
        refunds=entry.amount_micros,
        customer_credits=-entry.amount_micros,
        agent_receivables=-margin,
        agent_margin=margin,
    )


@postings_of.register
def _(entry: Adjusted) -> Postings:
    amount = entry.amount_micros
    if entry.category == Category.OPENING_BALANCE:
        return Postings(opening_balances=amount, customer_credits=-amount)
    return Postings(adjustments=amount, customer_credits=-amount)


@postings_of.register
def _(entry: TransferredOut) -> Postings:
    return Postings(customer_credits=entry.amount_micros, transfers=-entry.amount_micros)


@postings_of.register
def _(entry: TransferredIn) -> Postings:
    return Postings(transfers=entry.amount_micros, customer_credits=-entry.amount_micros)


def margin_micros_of(entry: Charged | Refunded) -> int:
    """Return what an agent's customer pays beyond the agent's cost; negative when it pays less."""
    if entry.sub_account_id is None or entry.price_micros is None:
        return 0
    return entry.price_micros - entry.amount_micros
