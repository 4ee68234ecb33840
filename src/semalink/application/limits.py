"""Setting how fast accounts and their keys may send."""

from dataclasses import dataclass
from uuid import UUID

from semalink.application.account_commands import OfAccount
from semalink.application.ledger import Books
from semalink.domain.account import Tier
from semalink.domain.cause import Cause
from semalink.domain.limit import Limit


@dataclass(frozen=True, slots=True)
class SetRateLimit(OfAccount):
    """Set how fast an account may send: by its tier, or as agreed."""

    account_id: UUID
    #: None: the tier stays.
    tier: Tier | None
    #: None: as the tier says.
    agreed: Limit | None
    reason: str
    cause: Cause

    def decide(self, books: Books) -> None:
        """Set it."""
        account = books.account(self.account_id)
        account.set_rate_limit(self.tier or account.tier, self.agreed, self.reason, self.cause)


@dataclass(frozen=True, slots=True)
class SetApiKeyRateLimit(OfAccount):
    """Set how fast one key may send; None: as fast as its account."""

    account_id: UUID
    api_key_id: UUID
    limit: Limit | None
    reason: str
    cause: Cause

    def decide(self, books: Books) -> None:
        """Set it; raises ApiKeyNotFound when the key does not work anyway."""
        account = books.account(self.account_id)
        account.set_key_rate_limit(self.api_key_id, self.limit, self.reason, self.cause)
