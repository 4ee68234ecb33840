"""Accepting messages: check, price, reserve and record, in one decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from semalink.application.ledger import Answer, Books, Idempotency, Ledger, Needs
from semalink.application.message_view import MessageView, decode_view, encode_view, view_of
from semalink.domain.calendar import month_of
from semalink.domain.cause import Cause
from semalink.domain.content_errors import OutsideSendingWindow
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.draft import Draft, Mode
from semalink.domain.errors import DomainError
from semalink.domain.message import Message
from semalink.domain.opt_out_errors import RecipientOptedOut

#: A message resolves its own reservation; one that was forgotten gives it back after this.
RESERVED_BEYOND_VALIDITY = timedelta(days=7)

#: What the edge hands over for each message: checked and priced, or refused.
Checked = Draft | DomainError


class ItemRefused(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why one message of a batch was not accepted."""

    code: str
    detail: str
    pointer: str | None
    #: When it may be sent, if only the hour stands against it.
    earliest_send_at: datetime | None = None


class BatchItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one message of a batch: accepted or refused."""

    index: int
    message: MessageView | None = None
    refused: ItemRefused | None = None


class BatchOutcome(msgspec.Struct, frozen=True):
    """What became of a batch, one item for each message, in order."""

    accepted_count: int
    refused_count: int
    items: list[BatchItem]


_batch_decoder = msgspec.json.Decoder(BatchOutcome)


@dataclass(frozen=True, slots=True)
class AcceptMessage:
    """Accept one message, or refuse it for good under its idempotency key."""

    message_id: UUID
    billing_account_id: UUID
    checked: Checked
    cause: Cause
    idempotency: Idempotency | None
    #: Who asks; None: the account of the draft, or the one that pays.
    account_id: UUID | None = None

    weight: ClassVar[int] = 1

    @property
    def subject(self) -> UUID:
        """Who asks."""
        return self.account_id or self.billing_account_id

    def needs(self, needs: Needs) -> None:
        """The credits that pay, which also guard the idempotency keys of the account."""
        needs.credit_accounts.add(self.billing_account_id)
        _need_draft(needs, self.checked, self.cause)

    def decide(self, books: Books) -> MessageView:
        """Reserve the price and record the message; raises what the check found, or no credit."""
        if isinstance(self.checked, DomainError):
            raise self.checked
        return _accept(books, self.message_id, self.checked, self.cause)

    @staticmethod
    def encode(value: Any) -> bytes:
        """Write the accepted message down."""
        return encode_view(value)

    @staticmethod
    def decode(stored: bytes) -> MessageView:
        """Read the accepted message back."""
        return decode_view(stored)


@dataclass(frozen=True, slots=True)
class AcceptBatch:
    """Accept or refuse each of several messages, all in one decision."""

    message_ids: Sequence[UUID]
    billing_account_id: UUID
    checked: Sequence[Checked]
    cause: Cause
    idempotency: Idempotency | None
    #: Who asks; None: the one that pays.
    account_id: UUID | None = None

    @property
    def subject(self) -> UUID:
        """Who asks."""
        return self.account_id or self.billing_account_id

    @property
    def weight(self) -> int:
        """As many as it has messages."""
        return len(self.checked)

    def needs(self, needs: Needs) -> None:
        """The credits that pay."""
        needs.credit_accounts.add(self.billing_account_id)
        for checked in self.checked:
            _need_draft(needs, checked, self.cause)

    def decide(self, books: Books) -> BatchOutcome:
        """Decide each message on its own; a refused one stops no other."""
        items: list[BatchItem] = []
        for index, (message_id, checked) in enumerate(
            zip(self.message_ids, self.checked, strict=True)
        ):
            try:
                if isinstance(checked, DomainError):
                    raise checked
                view = _accept(books, message_id, checked, self.cause)
                items.append(BatchItem(index, message=view))
            except DomainError as refusal:
                books.parts_refused.append((index, refusal))
                items.append(BatchItem(index, refused=_refused(refusal)))
        accepted_count = sum(item.message is not None for item in items)
        return BatchOutcome(accepted_count, len(items) - accepted_count, items)

    @staticmethod
    def encode(value: Any) -> bytes:
        """Write the outcome down."""
        return msgspec.json.encode(value)

    @staticmethod
    def decode(stored: bytes) -> BatchOutcome:
        """Read the outcome back."""
        return _batch_decoder.decode(stored)


class Sending:
    """What customers do: send one message, or many."""

    def __init__(self, ledger: Ledger, new_id: Callable[[], UUID]) -> None:
        self._ledger = ledger
        self._new_id = new_id

    async def accept(
        self,
        billing_account_id: UUID,
        checked: Checked,
        cause: Cause,
        idempotency: Idempotency | None,
        account_id: UUID | None = None,
    ) -> Answer[MessageView]:
        """Take responsibility for one message; raises DomainError when refused.

        A refusal is recorded as well, so that auditors find every one.
        """
        command = AcceptMessage(
            self._new_id(), billing_account_id, checked, cause, idempotency, account_id
        )
        return await self._ledger.execute(command)

    async def accept_batch(
        self,
        billing_account_id: UUID,
        checked: Sequence[Checked],
        cause: Cause,
        idempotency: Idempotency | None,
        account_id: UUID | None = None,
    ) -> Answer[BatchOutcome]:
        """Take responsibility for those of several messages that can be sent and paid."""
        message_ids = [self._new_id() for _ in checked]
        command = AcceptBatch(
            message_ids, billing_account_id, checked, cause, idempotency, account_id
        )
        return await self._ledger.execute(command)


def _accept(books: Books, message_id: UUID, draft: Draft, cause: Cause) -> MessageView:
    if books.is_opted_out(draft.account_id, draft.sender, draft.to):
        raise RecipientOptedOut
    if draft.mode == Mode.LIVE:
        credit_account = books.credit_account(draft.billing_account_id)
        credit_account.reserve(
            message_id,
            draft.price_micros if draft.cost_micros is None else draft.cost_micros,
            cause,
            expires_at=draft.expires_at + RESERVED_BEYOND_VALIDITY,
            on_behalf=_on_behalf(draft, cause),
        )
    message = Message.accept(message_id, draft, cause)
    books.add(message)
    return view_of(message, draft.alteration)


def _refused(refusal: DomainError) -> ItemRefused:
    earliest_at = refusal.earliest_send_at if isinstance(refusal, OutsideSendingWindow) else None
    return ItemRefused(refusal.code, str(refusal), refusal.pointer, earliest_at)


def _on_behalf(draft: Draft, cause: Cause) -> OnBehalf | None:
    if draft.account_id == draft.billing_account_id:
        return None
    return OnBehalf(draft.account_id, draft.price_micros, month_of(cause.at))


def _need_draft(needs: Needs, checked: Checked, cause: Cause) -> None:
    if isinstance(checked, DomainError):
        return
    needs.opt_outs.add((checked.account_id, checked.sender, checked.to))
    if checked.account_id != checked.billing_account_id:
        needs.spending.add((checked.account_id, month_of(cause.at)))
