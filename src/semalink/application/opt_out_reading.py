"""Opt-outs as they are read: by the account, or by operators for all accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from semalink.domain.ids import ACCOUNT_PREFIX, OPT_OUT_PREFIX, format_id
from semalink.domain.opt_out import OptOut, OptOutSource


class OptOutView(msgspec.Struct, frozen=True):
    """A recipient who is not to be messaged, or was not for a while."""

    id: str
    #: Null: no account of the platform may write to the number.
    account_id: str | None
    number: str
    #: Null: it holds for every sender id.
    sender: str | None
    active: bool
    source: OptOutSource
    #: How the recipient said so, in words of whoever told it.
    how: str
    recorded_at: datetime
    lifted_at: datetime | None
    lift_reason: str | None
    #: How the recipient agreed to be messaged again.
    consent: str | None


@dataclass(frozen=True, slots=True)
class OptOutFilter:
    """What is asked for; everything given must be true of an opt-out."""

    #: None: of every account, and of none.
    account_id: UUID | None = None
    number: str | None = None
    sender: str | None = None
    source: str | None = None
    active: bool | None = None


class OptOutReads(Protocol):
    """Opt-outs, newest first; raises ReadsUnavailable while the database is away."""

    async def opt_out(self, opt_out_id: UUID, account_id: UUID | None) -> OptOutView | None:
        """Return one opt-out; None for another account's."""
        ...

    async def opt_outs(
        self, wanted: OptOutFilter, *, before: int | None, limit: int
    ) -> Sequence[tuple[int, OptOutView]]:
        """Return opt-outs with their places, newest first, below the place ``before``."""
        ...


def view_of(opt_out: OptOut) -> OptOutView:
    """Return an opt-out as its events tell it."""
    subject = opt_out.subject
    return OptOutView(
        id=format_id(OPT_OUT_PREFIX, opt_out.id),
        account_id=None
        if subject.account_id is None
        else format_id(ACCOUNT_PREFIX, subject.account_id),
        number=subject.number,
        sender=subject.sender or None,
        active=opt_out.is_active,
        source=opt_out.source,
        how=opt_out.how,
        recorded_at=opt_out.recorded_at,
        lifted_at=opt_out.lifted_at,
        lift_reason=opt_out.lift_reason,
        consent=opt_out.consent,
    )
