"""Batches for the bulk calls: who may travel together, how many calls at once, whose answer."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence

from semalink.application.ports import OutcomeUnknown, Receipt, SendFailed, Submission
from semalink.domain.ids import MessageId

Outcome = Receipt | SendFailed | OutcomeUnknown
Batch = Sequence[Submission]


def split_batches(
    submissions: Iterable[Submission], *, key: Callable[[Submission], Hashable], limit: int
) -> list[Batch]:
    """Group submissions of one key, in order, into batches of at most so many."""
    groups: dict[Hashable, list[Submission]] = {}
    for submission in submissions:
        groups.setdefault(key(submission), []).append(submission)
    return [
        group[start : start + limit]
        for group in groups.values()
        for start in range(0, len(group), limit)
    ]


async def submit_batches(
    submissions: Sequence[Submission],
    batches: Sequence[Batch],
    submit_batch: Callable[[Batch], Awaitable[Sequence[Outcome]]],
    slots: asyncio.Semaphore,
) -> list[Outcome]:
    """Submit batches side by side, as the slots allow; outcomes in the order of the submissions."""
    outcomes: dict[MessageId, Outcome] = {}

    async def submit(batch: Batch) -> None:
        async with slots:
            answered = await submit_batch(batch)
        for submission, outcome in zip(batch, answered, strict=True):
            outcomes[submission.message_id] = outcome

    # Not a task group: a bug in one batch must not cancel calls that have left.
    await asyncio.gather(*map(submit, batches))
    return [outcomes[submission.message_id] for submission in submissions]


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Cut a batch in two, to find the one member that spoils it."""
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]
