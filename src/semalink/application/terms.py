"""The terms of accounts: what customers pay and may spend, and what is refunded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from semalink.application.account_commands import OfAccount
from semalink.application.ledger import Books, Needs
from semalink.domain.cause import Cause
from semalink.domain.errors import AccountNotFound


@dataclass(frozen=True, slots=True)
class SetSpendingCap(OfAccount):
    """Bound what a customer may spend of its agent's credits in a month; None lifts the bound."""

    account_id: UUID
    #: Whose lock guards the spending; found by whoever asks, and checked.
    billing_account_id: UUID
    cap_micros: int | None
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The customer, and its payer's lock, under which spending is decided."""
        needs.settings.add(self.account_id)
        needs.credit_accounts.add(self.billing_account_id)

    def decide(self, books: Books) -> None:
        """Set the cap; raises NotPaidByAgent."""
        account = books.account(self.account_id)
        if account.billing_account_id != self.billing_account_id:
            raise AccountNotFound
        account.set_spending_cap(self.cap_micros, self.cause)


@dataclass(frozen=True, slots=True)
class SetPriceList(OfAccount):
    """Set what an agent's customers pay for a segment."""

    account_id: UUID
    #: Micros by "KE" or "KE/safaricom".
    segment_micros: Mapping[str, int]
    cause: Cause

    def decide(self, books: Books) -> None:
        """Set the list; raises NotAnAgent."""
        books.account(self.account_id).set_price_list(self.segment_micros, self.cause)


@dataclass(frozen=True, slots=True)
class SetRefundRule(OfAccount):
    """Choose which final states give an account's charges back; None: as the platform does."""

    account_id: UUID
    refunded_on: Sequence[str] | None
    cause: Cause

    def decide(self, books: Books) -> None:
        """Set the rule."""
        books.account(self.account_id).set_refund_rule(self.refunded_on, self.cause)
