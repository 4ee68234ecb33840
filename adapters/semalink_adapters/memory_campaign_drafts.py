"""Campaigns of a ledger in memory, and their checks, held to the rules of the real ones."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from semalink.application.campaign_checking import (
    DUPLICATE,
    FREEZE_TASK,
    INVALID_NUMBER,
    LEFT_OUT,
    OPTED_OUT,
    PAGE_SIZE,
    PAGE_TASK,
    PAGES_AHEAD,
    READY,
    TOTALS_TASK,
    Checking,
    Finding,
    Group,
    PageWork,
    Recipient,
)
from semalink.application.campaign_commands import Owner
from semalink.application.campaign_reading import (
    CampaignFilter,
    CampaignRecord,
    InlineRecipient,
    Progress,
    RecipientFilter,
    RecipientView,
    Sample,
)
from semalink.application.reading import ReadsUnavailable
from semalink.application.tasks import CONTENT_QUEUE, Task
from semalink.domain.campaign import Campaign, CampaignState
from semalink.domain.campaign_errors import TooManyRecipients
from semalink.domain.contact_errors import ContactListNotFound
from semalink.domain.opt_out import OptOut
from semalink_adapters.memory_ledger import MemoryLedger

_UNCHECKED = "unchecked"


@dataclass(slots=True)
class _Row:
    recipient: InlineRecipient
    finding: Finding


@dataclass(slots=True)
class _Check:
    check: int
    rows: list[_Row] = field(default_factory=list)
    checked_count: int = 0
    pages_left: int = 0


class MemoryCampaignDrafts:
    """The campaigns that a memory ledger holds, what was given with them, and their checks."""

    def __init__(
        self,
        ledger: MemoryLedger,
        *,
        recipients_max: int = 1_000_000,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._ledger = ledger
        self._recipients_max = recipients_max
        self._page_size = page_size
        #: Contact lists, by whose they are and their ids.
        self.lists: dict[tuple[UUID, UUID], list[InlineRecipient]] = {}
        #: Networks that reports told.
        self.networks: dict[str, str] = {}
        self.uploads: dict[UUID, Sequence[InlineRecipient]] = {}
        #: When False, nothing can be read.
        self.is_available = True
        self._checks: dict[UUID, _Check] = {}
        self._tasks: dict[UUID, Task] = {}
        self._ended: set[UUID] = set()

    def tasks(self) -> Sequence[Task]:
        """Return what a worker has still to do."""
        for event in self._ledger.log:
            if isinstance(event, Campaign.CheckStarted):
                self._ask(FREEZE_TASK, event.originator_id, event.originator_version, None)
        return list(self._tasks.values())

    async def campaign(self, campaign_id: UUID, owner: Owner | None) -> CampaignRecord | None:
        """Return one campaign; None when there is none or it is another owner's."""
        self._require()
        record = self._record(campaign_id)
        if record is None or owner not in (None, Owner(record.account_id, record.mode)):
            return None
        return record

    async def campaigns(
        self, wanted: CampaignFilter, *, before: UUID | None, limit: int
    ) -> Sequence[CampaignRecord]:
        """Return campaigns, newest first, starting below the id ``before``."""
        self._require()
        ids = reversed(self._ledger.ids(Campaign))
        records = [self._record(one) for one in ids if before is None or one < before]
        return [one for one in records if one is not None and _is_wanted(one, wanted)][:limit]

    async def progress(self, campaign_id: UUID) -> Progress | None:
        """Return how far the last check is; None while nobody was written down."""
        self._require()
        kept, campaign = self._checks.get(campaign_id), self._campaign(campaign_id)
        if kept is None or campaign is None or kept.check != self._last_check(campaign_id):
            return None
        return Progress(kept.checked_count, len(kept.rows))

    async def recipients(
        self, campaign_id: UUID, wanted: RecipientFilter, *, after: int, limit: int
    ) -> Sequence[RecipientView]:
        """Return recipients as the last check found them, behind the place ``after``."""
        self._require()
        views = [_view(row) for row in self._rows(campaign_id)[after + 1 :]]
        return [
            one
            for one in views
            if wanted.state in (None, one.state) and wanted.reason in (None, one.reason)
        ][:limit]

    async def samples(self, campaign_id: UUID, limit: int) -> Sequence[Sample]:
        """Return texts of the first recipients that get one."""
        self._require()
        ready = [row for row in self._rows(campaign_id) if row.finding.state == READY]
        return [
            Sample(
                row.recipient.number,
                row.finding.text or "",
                row.finding.segments or 0,
                row.finding.encoding or "",
            )
            for row in ready[:limit]
        ]

    async def missing_lists(self, account_id: UUID, list_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Return those of the contact lists that the account does not have."""
        self._require()
        return [one for one in list_ids if (account_id, one) not in self.lists]

    async def add_upload(self, upload_id: UUID, recipients: Sequence[InlineRecipient]) -> None:
        """Keep a batch of recipients, which counts once the plan of a campaign names it."""
        self._require()
        self.uploads[upload_id] = recipients

    async def discard_upload(self, upload_id: UUID) -> None:
        """Forget a batch that no campaign was given."""
        self._require()
        self.uploads.pop(upload_id, None)

    async def freeze(self, task_id: UUID, campaign_id: UUID, check: int) -> None:
        """Write down all recipients and ask for their first pages."""
        if task_id in self._ended:
            return
        checking = self._checking(campaign_id, check)
        if checking is not None:
            rows = self._freeze(checking)
            pages = range(0, len(rows), self._page_size)
            self._checks[campaign_id] = _Check(check, rows, 0, len(pages))
            for first in pages[:PAGES_AHEAD]:
                self._ask(PAGE_TASK, campaign_id, check, first)
            if not pages:
                self._ask(TOTALS_TASK, campaign_id, check, None)
        await self.end(task_id)

    async def look_at_page(
        self, task_id: UUID, campaign_id: UUID, check: int, first: int, work: PageWork
    ) -> None:
        """Write down what is found of a page; ask for one further on, or at last for the totals."""
        if task_id in self._ended:
            return
        checking = self._checking(campaign_id, check)
        if checking is not None:
            kept = self._checks[campaign_id]
            places = range(first, min(first + self._page_size, len(kept.rows)))
            page = [
                Recipient(place, row.number, row.network, row.variables)
                for place in places
                if kept.rows[place].finding.state == _UNCHECKED
                for row in [kept.rows[place].recipient]
            ]
            for finding in await work(checking, page):
                kept.rows[finding.place].finding = finding
            kept.checked_count = min(kept.checked_count + self._page_size, len(kept.rows))
            kept.pages_left -= 1
            further = first + PAGES_AHEAD * self._page_size
            if further < len(kept.rows):
                self._ask(PAGE_TASK, campaign_id, check, further)
            if not kept.pages_left:
                self._ask(TOTALS_TASK, campaign_id, check, None)
        await self.end(task_id)

    async def groups(
        self, campaign_id: UUID, check: int
    ) -> tuple[Checking, Sequence[Group]] | None:
        """Return all recipients by kind; None when the check is wanted no more."""
        checking = self._checking(campaign_id, check)
        if checking is None:
            return None
        return checking, [_group(row) for row in self._rows(campaign_id)]

    async def end(self, task_id: UUID) -> None:
        """Take note that a task is done."""
        self._tasks.pop(task_id, None)
        self._ended.add(task_id)

    def _ask(self, kind: str, campaign_id: UUID, check: int, first: int | None) -> None:
        task_id = uuid5(campaign_id, f"{kind}:{check}:{first}")
        campaign = self._campaign(campaign_id)
        if task_id in self._ended or campaign is None:
            return
        payload: dict[str, Any] = {"campaign_id": campaign_id.hex, "check": check}
        if first is not None:
            payload["first"] = first
        self._tasks[task_id] = Task(task_id, CONTENT_QUEUE, kind, campaign.account_id, payload)

    def _freeze(self, checking: Checking) -> list[_Row]:
        plan = checking.plan
        given = [one for upload in plan.uploads for one in self.uploads.get(upload, ())]
        for list_id in plan.list_ids:
            contacts = self.lists.get((checking.account_id, list_id))
            if contacts is None:
                raise ContactListNotFound
            given += sorted(contacts, key=lambda one: one.number)
        if len(given) > self._recipients_max:
            raise TooManyRecipients(self._recipients_max)
        seen: set[str] = set()
        rows: list[_Row] = []
        for place, one in enumerate(given):
            reason = self._reason(checking, one, seen)
            seen.add(one.number)
            state = _UNCHECKED if reason is None else LEFT_OUT
            network = self.networks.get(one.number, one.network)
            known = InlineRecipient(one.number, one.country, network, one.variables)
            rows.append(_Row(known, Finding(place, state, reason)))
        return rows

    def _reason(self, checking: Checking, one: InlineRecipient, seen: Container[str]) -> str | None:
        if one.country is None:
            return INVALID_NUMBER
        if one.number in seen:
            return DUPLICATE
        opt_outs = [self._ledger.load(OptOut, each) for each in self._ledger.ids(OptOut)]
        asked = (checking.account_id, checking.plan.sender, one.number)
        held = [each.subject for each in opt_outs if each is not None and each.is_active]
        return OPTED_OUT if any(each.concerns(*asked) for each in held) else None

    def _require(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)

    def _campaign(self, campaign_id: UUID) -> Campaign | None:
        return self._ledger.load(Campaign, campaign_id)

    def _last_check(self, campaign_id: UUID) -> int | None:
        starts = [
            event.originator_version
            for event in self._ledger.streams[Campaign].get(campaign_id, ())
            if isinstance(event, Campaign.CheckStarted)
        ]
        return starts[-1] if starts else None

    def _checking(self, campaign_id: UUID, check: int) -> Checking | None:
        campaign = self._campaign(campaign_id)
        if campaign is None or campaign.state is not CampaignState.CHECKING:
            return None
        if self._last_check(campaign_id) != check:
            return None
        return Checking(campaign_id, campaign.account_id, campaign.plan)

    def _rows(self, campaign_id: UUID) -> list[_Row]:
        kept = self._checks.get(campaign_id)
        return [] if kept is None else kept.rows

    def _record(self, campaign_id: UUID) -> CampaignRecord | None:
        campaign = self._campaign(campaign_id)
        if campaign is None:
            return None
        events: Sequence[Any] = self._ledger.streams[Campaign][campaign_id]
        at = {type(event): event.timestamp for event in events}
        told = next((one for one in reversed(events) if isinstance(one, _TELLING)), None)
        sent_back = told if isinstance(told, Campaign.SentBack) else None
        has_started = campaign.started_at is not None
        count = campaign.totals.message_count if has_started and campaign.totals else None
        return CampaignRecord(
            campaign_id=campaign_id,
            account_id=campaign.account_id,
            billing_account_id=campaign.billing_account_id,
            mode=campaign.mode,
            state=campaign.state.value,
            plan=campaign.plan,
            revision=campaign.revision,
            totals=campaign.totals,
            problem_code=None if sent_back is None else sent_back.code,
            problem_detail=None if sent_back is None else sent_back.detail,
            start_at=campaign.start_at,
            message_count=count,
            started_at=campaign.started_at,
            completed_at=at.get(Campaign.Completed),
            settled_at=at.get(Campaign.Settled),
            checked_at=None if campaign.totals is None else at[Campaign.Checked],
            created_by=events[0].actor,
            created_at=events[0].timestamp,
            changed_at=events[-1].timestamp,
        )


#: The steps that say, or take back, why a campaign is a draft again.
_TELLING = (Campaign.SentBack, Campaign.Edited, Campaign.CheckStarted)


def _is_wanted(record: CampaignRecord, wanted: CampaignFilter) -> bool:
    owner = Owner(record.account_id, record.mode)
    return (
        wanted.owner in (None, owner)
        and wanted.state in (None, record.state)
        and wanted.account_id in (None, record.account_id)
    )


def _view(row: _Row) -> RecipientView:
    found, known = row.finding, row.recipient
    return RecipientView(
        place=found.place,
        number=known.number,
        country=found.country or known.country,
        network=known.network,
        state=found.state,
        reason=found.reason,
        reason_detail=found.reason_detail,
        segments=found.segments,
        price_micros=found.price_micros,
    )


def _group(row: _Row) -> Group:
    found = row.finding
    return Group(
        state=found.state,
        reason=found.reason,
        reason_detail=found.reason_detail,
        country=found.country or row.recipient.country,
        network=row.recipient.network,
        segments=found.segments,
        count=1,
        price_micros=found.price_micros or 0,
        cost_micros=found.cost_micros or 0,
        shadow_count=int(bool(found.shadow_rules)),
    )
