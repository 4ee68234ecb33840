"""What commands about one account share."""

from uuid import UUID

from semalink.application.ledger import Needs, PlainCommand


class AboutAccount:
    """What commands share that are about one account: refusals are kept under it."""

    __slots__ = ()

    account_id: UUID

    @property
    def subject(self) -> UUID:
        """The account."""
        return self.account_id


class OfAccount(AboutAccount, PlainCommand):
    """A plain command that changes the settings of one account."""

    __slots__ = ()

    def needs(self, needs: Needs) -> None:
        """The account."""
        needs.settings.add(self.account_id)
