"""A book of what aggregators were sent, in which there is nothing."""

from collections.abc import Sequence
from datetime import date

from semalink.application.reconciliation import Sent, Suspect
from semalink.domain.reconciliation import Snapshot


class NothingSent:
    """A book of a platform through which nothing was sent yet."""

    async def sent(self, first: date, last: date, route: str | None) -> Sequence[Sent]:
        return []

    async def snapshots(self, route: str, first: date, last: date) -> Sequence[Snapshot]:
        return []

    async def suspects(
        self, day: date, route: str, limit: int, after: str | None
    ) -> Sequence[Suspect]:
        return []
