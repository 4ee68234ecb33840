"""The message that the benches send."""

from datetime import datetime, timedelta
from uuid import UUID

from semalink.domain.draft import Draft

PRICE_MICROS = 800_000
TEXT = "Your order 4711 is on its way. Reply HELP for help."


def draft_of(account_id: UUID, at: datetime) -> Draft:
    """Return a message of one segment that an account sends for itself."""
    return Draft(
        account_id=account_id,
        billing_account_id=account_id,
        mode="live",
        to="+254712345678",
        country="KE",
        network="safaricom",
        text=TEXT,
        sender="SEMALINK",
        lane="normal",
        encoding="GSM-7",
        segments=1,
        price_micros=PRICE_MICROS,
        expires_at=at + timedelta(hours=24),
        metadata={"order": "4711"},
    )
