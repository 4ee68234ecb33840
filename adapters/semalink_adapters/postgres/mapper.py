"""Events to stored bytes and back, with msgspec."""

from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from eventsourcing.utils import resolve_topic

from semalink.domain import (
    account,
    accounting_month,
    adjustment,
    archived_month,
    campaign,
    contact_import,
    contact_list,
    content_rule,
    credit_account,
    dead_letter,
    dead_letter_job,
    message,
    opt_out,
    orphan_report,
    recovery,
    route,
    sender_id,
    sender_route,
    webhook_delivery,
    webhook_endpoint,
)

#: Importing the aggregates registers their topics with the library.
AGGREGATES = (
    account.Account,
    accounting_month.AccountingMonth,
    adjustment.Adjustment,
    campaign.Campaign,
    archived_month.ArchivedMonth,
    content_rule.ContentRule,
    contact_import.ContactImport,
    contact_list.ContactList,
    credit_account.CreditAccount,
    dead_letter.DeadLetter,
    dead_letter_job.DeadLetterJob,
    message.Message,
    opt_out.OptOut,
    orphan_report.OrphanReport,
    recovery.Recovery,
    route.Route,
    sender_id.SenderId,
    sender_route.SenderRoute,
    webhook_delivery.WebhookDelivery,
    webhook_endpoint.WebhookEndpoint,
)

_encoder = msgspec.json.Encoder()


@cache
def _decoder_of(topic: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(resolve_topic(topic))


class EventMapper(Mapper[UUID]):
    """Maps whole events to JSON; the one place where the stored form of an event is decided.

    Encryption of numbers and texts (ADR-0017) will wrap the fields here.
    """

    def __init__(self) -> None:
        super().__init__(transcoder=JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Return the event as it is stored; the state repeats id and version."""
        return StoredEvent(
            domain_event.originator_id,
            domain_event.originator_version,
            domain_event.TOPIC,
            _encoder.encode(domain_event),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """Return the event that was stored; raises msgspec.ValidationError on foreign bytes."""
        return self.read(stored_event.topic, stored_event.state)

    @staticmethod
    def read(topic: str, state: bytes) -> Any:
        """Return the event with this topic and state."""
        return _decoder_of(topic).decode(state)
