"""Checking a campaign: recipients frozen, looked at page by page, and added up, exactly once."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from semalink.application.campaign_commands import FailCheck, RecordCheck
from semalink.application.ledger import Ledger
from semalink.application.tasks import Task, TaskWork
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.campaign_start import PROMOTIONAL, Circumstances
from semalink.domain.cause import Cause
from semalink.domain.content_check import Content, Rules, check
from semalink.domain.errors import ContentBlocked
from semalink.domain.price_list import Terms, price_message
from semalink.domain.refusal import DomainError
from semalink.domain.template import Missing, Template

#: Kinds of tasks.
FREEZE_TASK = "campaign_freeze"
PAGE_TASK = "campaign_page"
TOTALS_TASK = "campaign_totals"

PAGE_SIZE = 2_000
#: Pages of one check that are asked for at a time; each asks for another one, so that what comes
#: meanwhile waits behind these and not behind a whole campaign.
PAGES_AHEAD = 4

READY = "ready"
LEFT_OUT = "left_out"

#: Why a recipient gets nothing, beside the codes of what the check of a content refuses.
DUPLICATE = "duplicate"
OPTED_OUT = "opted_out"
INVALID_NUMBER = "invalid_number"
MISSING_VARIABLE = "missing_variable"

#: Who acts when a check is over.
ACTOR = "worker:content"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a campaign, as it was frozen."""

    place: int
    number: str = field(repr=False)
    network: str | None
    variables: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the check of one recipient found."""

    place: int
    state: str
    reason: str | None = None
    reason_detail: str | None = None
    #: What is sent, word for word.
    text: str | None = field(default=None, repr=False)
    country: str | None = None
    encoding: str | None = None
    segments: int | None = None
    price_micros: int | None = None
    cost_micros: int | None = None
    priced_by: str | None = None
    #: Rules in shadow mode that would have blocked it.
    shadow_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SendingTerms:
    """The sender ids of an account, and what it pays by."""

    senders: frozenset[str]
    #: The promotional ones, each with an opt-out text of its own if it has.
    promotional: Mapping[str, str | None]
    terms: Terms


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What the contents of one account are held to, and what they are priced by."""

    rules: Rules
    terms: Terms


@dataclass(frozen=True, slots=True)
class Checking:
    """A campaign whose recipients are looked at."""

    campaign_id: UUID
    account_id: UUID
    plan: Plan


@dataclass(frozen=True, slots=True)
class Group:
    """Recipients of one kind and how many they are."""

    state: str
    reason: str | None
    reason_detail: str | None
    country: str | None
    network: str | None
    segments: int | None
    count: int
    price_micros: int
    cost_micros: int
    shadow_count: int


#: Looks at a page of recipients.
PageWork = Callable[[Checking, Sequence[Recipient]], Awaitable[Sequence[Finding]]]


class CampaignChecks(Protocol):
    """The checks, as a worker sees them; each call raises NotReady while the database is away.

    ``check`` is the version of the campaign with which the check began: one that is wanted no
    more changes nothing, and its tasks just end.
    """

    async def freeze(self, task_id: UUID, campaign_id: UUID, check: int) -> None:
        """Write down all recipients and ask for their first pages, in one transaction.

        Raises a DomainError when that cannot be done, and leaves the task as it is.
        """
        ...

    async def look_at_page(
        self, task_id: UUID, campaign_id: UUID, check: int, first: int, work: PageWork
    ) -> None:
        """Write down what is found of a page; ask for one further on, or at last for the totals."""
        ...

    async def groups(
        self, campaign_id: UUID, check: int
    ) -> tuple[Checking, Sequence[Group]] | None:
        """Return all recipients by kind; None when the check is wanted no more."""
        ...

    async def end(self, task_id: UUID) -> None:
        """Take note that a task is done."""
        ...


class CampaignChecker:
    """Does the tasks of checks."""

    def __init__(
        self,
        checks: CampaignChecks,
        ledger: Ledger,
        rules_of: Callable[[UUID], Awaitable[AccountRules]],
        *,
        platform: Callable[[], Circumstances],
        now: Callable[[], datetime],
        on_tasks: Callable[[], None],
    ) -> None:
        self._checks = checks
        self._ledger = ledger
        self._rules_of = rules_of
        self._platform = platform
        self._now = now
        self._on_tasks = on_tasks

    @property
    def kinds(self) -> Mapping[str, TaskWork]:
        """What does each kind of task."""
        return {
            FREEZE_TASK: self.freeze,
            PAGE_TASK: self.look_at_page,
            TOTALS_TASK: self.add_up,
        }

    async def freeze(self, task: Task) -> None:
        """Write down who the recipients are, whatever becomes of the lists from now on."""
        campaign_id, check_version = _check_of(task)
        try:
            await self._checks.freeze(task.task_id, campaign_id, check_version)
        except DomainError as refusal:
            failed = FailCheck(campaign_id, check_version, refusal, self._cause(task))
            await self._ledger.execute(failed)
            await self._checks.end(task.task_id)
        self._on_tasks()

    async def look_at_page(self, task: Task) -> None:
        """Find out what each recipient of a page gets and costs, or why nothing."""
        campaign_id, check_version = _check_of(task)
        first: int = task.payload["first"]
        await self._checks.look_at_page(task.task_id, campaign_id, check_version, first, self._find)
        self._on_tasks()

    async def add_up(self, task: Task) -> None:
        """Record what the whole check found; a crash behind it records nothing twice."""
        campaign_id, check_version = _check_of(task)
        found = await self._checks.groups(campaign_id, check_version)
        if found is not None:
            checking, groups = found
            rules = (await self._rules_of(checking.account_id)).rules
            command = RecordCheck(
                campaign_id,
                checking.account_id,
                check_version,
                add_up(groups, class_of(checking.plan.sender, rules)),
                self._platform(),
                self._cause(task),
            )
            await self._ledger.execute(command)
        await self._checks.end(task.task_id)

    async def _find(self, checking: Checking, page: Sequence[Recipient]) -> Sequence[Finding]:
        own = await self._rules_of(checking.account_id)
        return list(look_at(checking.plan, page, own))

    def _cause(self, task: Task) -> Cause:
        return Cause(ACTOR, self._now(), f"job_{task.task_id.hex}")


def look_at(plan: Plan, page: Iterable[Recipient], own: AccountRules) -> Iterator[Finding]:
    """Return what each recipient gets and costs, or why nothing."""
    template = Template.parse(plan.text)
    for recipient in page:
        text = template.fill(recipient.variables, plan.defaults)
        if isinstance(text, Missing):
            yield Finding(recipient.place, LEFT_OUT, MISSING_VARIABLE, text.variable)
        else:
            yield _look_at_text(plan, recipient, text, own)


def class_of(sender: str, rules: Rules) -> str:
    """Return whether a sender id is promotional or transactional."""
    return PROMOTIONAL if sender in rules.promotional else "transactional"


def add_up(groups: Iterable[Group], sender_class: str) -> Totals:
    """Return what a check found in all."""
    left_out: Counter[str] = Counter()
    blocked_by_rule: Counter[str] = Counter()
    by_country: Counter[str] = Counter()
    by_network: Counter[str] = Counter()
    by_segments: Counter[str] = Counter()
    messages = recipients = segments = price = cost = shadowed = 0
    for group in groups:
        recipients += group.count
        if group.state != READY:
            left_out[group.reason or ""] += group.count
            if group.reason == ContentBlocked.code:
                blocked_by_rule[group.reason_detail or ""] += group.count
            continue
        messages += group.count
        by_country[group.country or ""] += group.count
        by_network[group.network or ""] += group.count
        by_segments[str(group.segments)] += group.count
        segments += (group.segments or 0) * group.count
        price += group.price_micros
        cost += group.cost_micros
        shadowed += group.shadow_count
    return Totals(
        recipient_count=recipients,
        message_count=messages,
        left_out=dict(left_out),
        blocked_by_rule=dict(blocked_by_rule),
        by_country=dict(by_country),
        by_network=dict(by_network),
        by_segments=dict(by_segments),
        segment_count=segments,
        price_micros=price,
        cost_micros=cost,
        shadow_count=shadowed,
        sender_class=sender_class,
    )


def _look_at_text(plan: Plan, recipient: Recipient, text: str, own: AccountRules) -> Finding:
    content = Content(recipient.number, text, plan.sender, plan.replace_lookalikes)
    try:
        checked = check(content, own.rules)
        price = price_message(
            own.rules.rate_card, own.terms, checked.country, recipient.network, checked.segments
        )
    except DomainError as refusal:
        detail = refusal.rule if isinstance(refusal, ContentBlocked) else None
        return Finding(recipient.place, LEFT_OUT, refusal.code, detail)
    return Finding(
        recipient.place,
        READY,
        text=checked.text,
        country=checked.country,
        encoding=checked.encoding.value,
        segments=checked.segments,
        price_micros=price.price_micros,
        cost_micros=price.price_micros if price.cost_micros is None else price.cost_micros,
        priced_by=price.priced_by,
        shadow_rules=checked.shadow_rules,
    )


def _check_of(task: Task) -> tuple[UUID, int]:
    return UUID(hex=task.payload["campaign_id"]), task.payload["check"]
