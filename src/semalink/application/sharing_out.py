"""Fair shares of the normal queue: who may be in it, and who waits for a turn."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import zip_longest
from typing import Protocol
from uuid import UUID

from semalink.application.fitting import FittingWindow
from semalink.application.outbox import PendingJob

#: So many of the largest shares fill the queue: then everybody takes turns.
CROWD_SHARES = 2

#: The most that is dealt out at once, so that what is new never waits long for the relay.
DEAL_MAX = 64

#: How much of what was in the queue is asked for at the start, and in one question later.
PAGE_MAX = 5_000

SHARED_LANE = "normal"


class Turns(Protocol):
    """The messages that wait for a turn of their account, and those that are in the queue."""

    async def hold(self, message_ids: Sequence[UUID]) -> None:
        """Make messages wait that would enter the queue now."""
        ...

    async def accounts_waiting(self) -> Sequence[UUID]:
        """Return the accounts of which messages wait, in id order."""
        ...

    async def first_waiting(self, rooms: Mapping[UUID, int]) -> Sequence[PendingJob]:
        """Return the first messages that wait of each account, so many of each, in id order."""
        ...

    async def dealt_out(self, message_ids: Sequence[UUID]) -> None:
        """Mark messages that waited as being in the queue."""
        ...

    async def still_queued(self, message_ids: Sequence[UUID]) -> Collection[UUID]:
        """Return those that a queue must hold."""
        ...

    async def published_before(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Return account and message of what a relay before this one left in the queue."""
        ...


class Shares:
    """Keeps the queue short, so that nobody in it waits behind all that another one sent.

    Whoever is within its share enters at once, without a question to the database. What is beyond
    it waits in the database and is dealt out in turns, to whoever has the fewest in the queue.
    """

    def __init__(self, turns: Turns, window: FittingWindow) -> None:
        self._turns = turns
        #: The most that one account has in the queue, and all who wait for turns together.
        self._window = window
        #: What entered the queue and is not known to have left it, by account.
        self._inside: dict[UUID, set[UUID]] = {}
        self._inside_count = 0
        #: The accounts of which messages wait; who was served longest ago comes first.
        self._waiting: dict[UUID, None] = {}
        #: Those of which none waits any more, once the broker has what was dealt last.
        self._served: list[UUID] = []
        self._is_loaded = False

    @property
    def waiting_accounts(self) -> int:
        """How many accounts have messages that wait for a turn."""
        return len(self._waiting)

    @property
    def share(self) -> int:
        """How many messages of one account may be in the queue now."""
        return self._window.size

    async def admit(self, jobs: Iterable[PendingJob]) -> list[PendingJob]:
        """Return those that enter the queue now; the others are made to wait before that."""
        await self._load()
        entering: list[PendingJob] = []
        held: list[UUID] = []
        looked_at: set[UUID | None] = set()
        for pending in jobs:
            if pending.lane != SHARED_LANE or await self._has_room(pending, looked_at):
                entering.append(pending)
            else:
                held.append(pending.job.message_id)
                self._waiting.setdefault(pending.job.account_id)
        if held:
            await self._turns.hold(held)
        return entering

    async def next_turns(self) -> Sequence[PendingJob]:
        """Return what enters the queue next of what waits, one of each account after another.

        All of it waits on until it is ``dealt_out``: the broker may refuse it.
        """
        await self._load()
        if not self._waiting:
            self._window.begin_anew()
            return ()
        self._window.left(await self._forget_what_left(self._waiting))
        rooms = self._rooms()
        if not rooms:
            return ()
        by_account: dict[UUID, list[PendingJob]] = {account_id: [] for account_id in rooms}
        for pending in await self._turns.first_waiting(rooms):
            by_account[pending.job.account_id].append(pending)
        self._served = [one for one, jobs in by_account.items() if len(jobs) < rooms[one]]
        for account_id, jobs in by_account.items():
            # Who is served goes to the end of the line.
            del self._waiting[account_id]
            if jobs:
                self._waiting[account_id] = None
        rounds = zip_longest(*by_account.values())
        return [pending for one_of_each in rounds for pending in one_of_each if pending]

    async def dealt_out(self, jobs: Sequence[PendingJob]) -> None:
        """Note that the broker has what waited."""
        await self._turns.dealt_out([pending.job.message_id for pending in jobs])
        for pending in jobs:
            self._enter(pending)
        self._forget_the_served()

    def _forget_the_served(self) -> None:
        for account_id in self._served:
            self._waiting.pop(account_id, None)
        self._served = []

    async def look_again(self, *, lost: bool) -> None:
        """Ask anew who waits; when the broker lost the queue, nobody is in it."""
        await self._load()
        if lost:
            self._inside.clear()
            self._inside_count = 0
        for account_id in await self._turns.accounts_waiting():
            self._waiting.setdefault(account_id)

    async def _load(self) -> None:
        if self._is_loaded:
            return
        for account_id, message_id in await self._turns.published_before(PAGE_MAX):
            self._note(account_id, message_id)
        self._waiting = dict.fromkeys(await self._turns.accounts_waiting())
        self._is_loaded = True

    async def _has_room(self, pending: PendingJob, looked_at: set[UUID | None]) -> bool:
        """Let a message in unless its account has its share, or has others that wait.

        What is known is asked again where it says no, once for each page.
        """
        account_id = pending.job.account_id
        if pending.job.message_id in self._inside.get(account_id, ()):
            # It is read again after a failure.
            return True
        if account_id in self._waiting:
            return False
        if self._is_crowded() and None not in looked_at:
            looked_at.add(None)
            await self._forget_what_left(list(self._inside))
        if self._is_full(account_id) and account_id not in looked_at:
            looked_at.add(account_id)
            await self._forget_what_left([account_id])
        if self._is_crowded() or self._is_full(account_id):
            return False
        self._enter(pending)
        return True

    def _is_crowded(self) -> bool:
        return self._inside_count >= CROWD_SHARES * self._window.most

    def _is_full(self, account_id: UUID) -> bool:
        return len(self._inside.get(account_id, ())) >= self._window.size

    def _enter(self, pending: PendingJob) -> None:
        self._note(pending.job.account_id, pending.job.message_id)

    def _note(self, account_id: UUID, message_id: UUID) -> None:
        mine = self._inside.setdefault(account_id, set())
        self._inside_count += message_id not in mine
        mine.add(message_id)

    async def _forget_what_left(self, account_ids: Iterable[UUID]) -> int:
        """Ask what the queue need not hold any more, and return how many left it."""
        before = self._inside_count
        known = {one: self._inside[one] for one in account_ids if one in self._inside}
        ids = [message_id for mine in known.values() for message_id in mine]
        for start in range(0, len(ids), PAGE_MAX):
            asked = ids[start : start + PAGE_MAX]
            left = set(asked).difference(await self._turns.still_queued(asked))
            for mine in known.values():
                mine.difference_update(left)
            self._inside_count -= len(left)
        for account_id, mine in known.items():
            if not mine:
                del self._inside[account_id]
        return before - self._inside_count

    def _rooms(self) -> dict[UUID, int]:
        """Give each place that is free to the account with the fewest in the queue."""
        line = [
            (len(self._inside.get(account_id, ())), place, account_id)
            for place, account_id in enumerate(self._waiting)
        ]
        room = min(DEAL_MAX, self._window.size - sum(count for count, _, _ in line))
        heapify(line)
        rooms: dict[UUID, int] = {}
        for _ in range(room):
            count, place, account_id = heappop(line)
            rooms[account_id] = rooms.get(account_id, 0) + 1
            heappush(line, (count + 1, place, account_id))
        return rooms
