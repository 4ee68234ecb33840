"""A contact list: who may be messaged together; the contacts themselves are rows beside it."""

from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.contact_errors import ContactListNotFound


class ContactList(Aggregate):
    """A named list of an account, from its creation to its deletion."""

    TOPIC = "contact_list"

    account_id: UUID
    name: str
    is_deleted: bool

    def __init__(self) -> None:
        """Start empty: the first event stands it up."""

    class Event(Aggregate.Event):
        """A step of a contact list: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """Somebody made it."""

        TOPIC = "contact_list.created.1"
        account_id: UUID
        name: str

        def apply(self, contacts: "ContactList") -> None:
            """Stand it up."""
            contacts.account_id = self.account_id
            contacts.name = self.name
            contacts.is_deleted = False

    class Renamed(Event):
        """It has another name."""

        TOPIC = "contact_list.renamed.1"
        name: str

        def apply(self, contacts: "ContactList") -> None:
            """Take the name."""
            contacts.name = self.name

    class Deleted(Event):
        """Nobody sees it any more; its contacts are deleted in pieces."""

        TOPIC = "contact_list.deleted.1"

        def apply(self, contacts: "ContactList") -> None:
            """Close it."""
            contacts.is_deleted = True

    @classmethod
    def create(cls, list_id: UUID, account_id: UUID, name: str, cause: Cause) -> Self:
        """Make a list without contacts."""
        return cls._create(
            cls.Created,
            id=list_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=account_id,
            name=name,
        )

    def rename(self, name: str, cause: Cause) -> None:
        """Give it another name."""
        self.check_present()
        if name != self.name:
            self._add(self.Renamed, cause, name=name)

    def delete(self, cause: Cause) -> None:
        """Take it away with all its contacts."""
        self.check_present()
        self._add(self.Deleted, cause)

    def check_present(self) -> None:
        """Refuse what is asked of a list that was deleted; raises ContactListNotFound."""
        if self.is_deleted:
            raise ContactListNotFound

    def _add(self, step: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            step, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )
