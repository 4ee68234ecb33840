"""An auditor that trusts nobody: reads what is stored and what arrived, and adds it up itself."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import psycopg
from psycopg.rows import class_row
from tests.chaos import ledger_replay, message_replay
from tests.chaos.ledger_replay import Entry, Fate, LedgerReplay, differences
from tests.chaos.message_replay import MessageReplay, Step, Story

_PAGE = 5_000

ENTRIES = """
SELECT originator_id AS account_id, originator_version AS version, topic, state,
       message_id, entry_hash
FROM ledger_entries ORDER BY originator_id, originator_version"""

STEPS = """
SELECT originator_id AS message_id, originator_version AS version, topic, state
FROM message_events ORDER BY originator_id, originator_version"""

HEADS = """
SELECT account_id, version, posted_micros, reserved_micros, credit_limit_micros, entry_hash
FROM credit_heads"""

OPEN_RESERVATIONS = "SELECT reservation_id, account_id, amount_micros FROM open_reservations"
PENDING = "SELECT message_id, state FROM pending_submissions"
REFERENCES = "SELECT aggregator, reference, message_id FROM provider_references"
AWAITED = "SELECT message_id, aggregator, reference FROM awaited_reports"
SHOWN = "SELECT message_id, status, charged_micros, refunded_micros FROM messages"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is stored at one instant, and after it everything that arrived."""

    entries: Sequence[Entry]
    steps: Sequence[Step]
    heads: Mapping[UUID, tuple[Any, ...]]
    open_reservations: Mapping[UUID, tuple[UUID, int]]
    pending: Mapping[UUID, str]
    references: Mapping[tuple[str, str], UUID]
    #: Under which reference a final report is waited for.
    awaited: Mapping[UUID, tuple[str, str]]
    #: The read model: status, charged and refunded.
    shown: Mapping[UUID, tuple[Any, ...]]
    #: The handset and the text of every message that the sandbox took.
    taken: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the auditor found."""

    ledger: LedgerReplay
    messages: MessageReplay
    #: How often each text arrived at each number.
    arrivals: Mapping[tuple[str, str], int]
    violations: Sequence[str]

    @property
    def stories(self) -> Mapping[UUID, Story]:
        """Every message, by its id."""
        return self.messages.stories

    def of_account(self, account_id: UUID) -> list[Story]:
        """Return the messages of one account."""
        return [story for story in self.stories.values() if story.account_id == account_id]


async def gather(database_url: str, sandbox_url: str) -> Evidence:
    """Read everything that the database holds at one instant, then all that the sandbox took."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        stored = await _read(connection)
    # Later than the database, so that whatever is recorded as taken must be there.
    return Evidence(**stored, taken=await _taken(sandbox_url))


async def _read(connection: psycopg.AsyncConnection[Any]) -> dict[str, Any]:
    async with connection.cursor(row_factory=class_row(Entry)) as cursor:
        entries = await (await cursor.execute(ENTRIES)).fetchall()
    async with connection.cursor(row_factory=class_row(Step)) as cursor:
        steps = await (await cursor.execute(STEPS)).fetchall()
    heads, reservations, pending, references, awaited, shown = [
        await (await connection.execute(statement)).fetchall()
        for statement in (HEADS, OPEN_RESERVATIONS, PENDING, REFERENCES, AWAITED, SHOWN)
    ]
    return {
        "entries": entries,
        "steps": steps,
        "heads": {row[0]: tuple(row[1:]) for row in heads},
        "open_reservations": {row[0]: (row[1], row[2]) for row in reservations},
        "pending": dict(pending),
        "references": {(row[0], row[1]): row[2] for row in references},
        "awaited": {row[0]: (row[1], row[2]) for row in awaited},
        "shown": {row[0]: tuple(row[1:]) for row in shown},
    }


async def _taken(sandbox_url: str) -> list[tuple[str, str]]:
    taken: list[tuple[str, str]] = []
    since = 0
    async with aiohttp.ClientSession(trust_env=False) as session:
        while True:
            parameters = {"since": str(since), "limit": str(_PAGE)}
            async with session.get(
                f"{sandbox_url}/control/deliveries", params=parameters
            ) as response:
                page = await response.json()
            assert since > 0 or page["first_sequence"] == 1, "the sandbox has forgotten the first"
            taken += [(item["number"], item["text"]) for item in page["items"]]
            since = page["next_since"]
            if len(page["items"]) < _PAGE:
                return taken


def examine(evidence: Evidence) -> Findings:
    """Play everything back and hold it against everything else."""
    ledger = ledger_replay.replay(evidence.entries)
    messages = message_replay.replay(evidence.steps)
    arrivals = Counter(evidence.taken)
    violations = [
        *ledger.violations,
        *messages.violations,
        *_compare_tables(evidence, ledger, messages),
        *_compare_money(ledger, messages),
        *_compare_handsets(messages, arrivals),
    ]
    return Findings(ledger, messages, arrivals, violations)


def _compare_tables(
    evidence: Evidence, ledger: LedgerReplay, messages: MessageReplay
) -> Iterator[str]:
    purses = {
        account_id: (purse.version, purse.posted, purse.reserved, purse.limit, purse.sealed)
        for account_id, purse in ledger.purses.items()
    }
    yield from differences("credit head", evidence.heads, purses)
    open_reservations = ledger.open_reservations()
    yield from differences("open reservation", evidence.open_reservations, open_reservations)
    references = {
        reference: story.message_id
        for story in messages.stories.values()
        for reference in story.references
    }
    yield from differences("reference", evidence.references, references)
    awaited = {
        story.message_id: story.references[-1]
        for story in messages.stories.values()
        if story.status == "submitted"
    }
    yield from differences("awaited report", evidence.awaited, awaited)
    for story in messages.stories.values():
        listed = evidence.pending.get(story.message_id)
        if not _is_rightly_listed(story, listed):
            yield f"message {story.message_id.hex} is {story.status} and on the work list {listed}"


def _is_rightly_listed(story: Story, listed: str | None) -> bool:
    if story.status == "accepted":
        return listed is not None
    # One whose end is unknown and that names no reference can still be matched by its recipient.
    return listed is None or (listed == "unknown" == story.status and not story.references)


def _compare_money(ledger: LedgerReplay, messages: MessageReplay) -> Iterator[str]:
    for message_id in ledger.fates.keys() - messages.stories.keys():
        yield f"credits were reserved for {message_id.hex}, which is no message"
    for message_id, story in messages.stories.items():
        fate = ledger.fates.get(message_id)
        what = _wrong_money(story, fate)
        if what:
            yield f"message {message_id.hex} is {story.status} ({story.mode}): {what}; {fate}"


def _wrong_money(story: Story, fate: Fate | None) -> str | None:
    if story.mode != "live":
        return "credits moved for a test" if fate or story.charged else None
    if fate is None and story.campaign_id is not None:
        return "an aggregator took it and nobody paid" if _is_unpaid(story) else None
    if fate is None:
        return "nothing was reserved"
    wrongs = {
        "another account or another price was reserved": (
            (fate.account_id, fate.reserved) != (story.billing_account_id, story.price)
        ),
        "its reservation is open or closed at the wrong time": (
            fate.is_open != (story.status == "accepted")
        ),
        f"it says {story.charged} charged and {story.refunded} refunded": (
            (fate.charged or 0, fate.refunded) != (story.charged, story.refunded)
        ),
        "an aggregator took it and nobody paid": (
            fate.released is not None and story.references and "unknown" not in story.outcomes
        ),
    }
    return "; ".join(wrong for wrong, is_so in wrongs.items() if is_so)


def _is_unpaid(story: Story) -> bool:
    """Whether a message of a campaign should have been charged, or says that it was."""
    return bool(story.charged or (story.references and "unknown" not in story.outcomes))


def _compare_handsets(
    messages: MessageReplay, arrivals: Mapping[tuple[str, str], int]
) -> Iterator[str]:
    same: dict[tuple[str, str], list[Story]] = defaultdict(list)
    for story in messages.stories.values():
        same[story.to, story.text].append(story)
    for handset in arrivals.keys() - same.keys():
        yield f"a message that nobody asked for arrived {arrivals[handset]} times"
    for handset, stories in same.items():
        count = arrivals.get(handset, 0)
        ids = ", ".join(story.message_id.hex for story in stories)
        if count > sum(_arrivals_max(story) for story in stories):
            yield f"{ids}: arrived {count} times and does not say possible duplicate"
        if count < sum(len(story.references) for story in stories):
            yield f"{ids}: recorded as taken and arrived only {count} times"


def _arrivals_max(story: Story) -> int:
    if story.possible_duplicate:
        return story.calls
    # Only a call under way, a lost answer or a receipt can have left anything at a handset.
    may_have_left = story.in_call or story.answer_lost or story.references
    return 1 if may_have_left or "unknown" in story.outcomes else 0


def behind(evidence: Evidence, findings: Findings) -> list[str]:
    """Return how the read model differs from the log; empty once the projector has caught up."""
    folded = {
        message_id: (story.status, story.charged, story.refunded)
        for message_id, story in findings.stories.items()
    }
    return differences("read model", evidence.shown, folded)
