"""The messages played back with nothing but dicts: where each stands, and what was done to it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

ENDINGS = {
    "message.delivered.1": "delivered",
    "message.failed.1": "failed",
    "message.rejected.1": "rejected",
    "message.expired.1": "expired",
    "message.cancelled.1": "cancelled",
    "message.unknown.1": "unknown",
}
#: What may still follow an outcome: the handset knows best, and unknown is no knowledge.
MAY_FOLLOW = {
    "unknown": frozenset({"delivered", "failed", "rejected", "expired"}),
    "failed": frozenset({"delivered"}),
    "rejected": frozenset({"delivered"}),
    "expired": frozenset({"delivered"}),
    "cancelled": frozenset[str](),
    "delivered": frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One row of `message_events`."""

    message_id: UUID
    version: int
    topic: str
    state: bytes


@dataclass(slots=True)
class Story:
    """What is known of one message."""

    message_id: UUID
    account_id: UUID
    billing_account_id: UUID
    mode: str
    to: str
    text: str
    price: int
    version: int = 1
    status: str = "accepted"
    #: Every final state that it came to, in order; one, but for what may follow it.
    outcomes: list[str] = field(default_factory=list)
    calls: int = 0
    in_call: bool = False
    answer_lost: bool = False
    possible_duplicate: bool = False
    #: (aggregator, reference) under which an aggregator took it; one for each call at most.
    references: list[tuple[str, str]] = field(default_factory=list)
    charged: int = 0
    refunded: int = 0
    #: The campaign whose reservation pays for it.
    campaign_id: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected."""
        return bool(self.outcomes)


@dataclass(slots=True)
class MessageReplay:
    """What the steps come to, and everything in them that cannot be."""

    stories: dict[UUID, Story] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def play(self, step: Step) -> None:
        """Take in the next step of a message."""
        facts = msgspec.json.decode(step.state)
        story = self.stories.get(step.message_id)
        if story is None:
            self._begin(step, facts)
            return
        story.version += 1
        if step.version != story.version or facts["originator_version"] != step.version:
            self._complain(step, f"has a number other than {story.version}")
        if step.topic in ENDINGS:
            self._end(story, step, facts)
        elif (take_in := self._steps.get(step.topic)) is not None:
            take_in(story, step, facts)
        else:
            self._complain(step, "has a topic that nobody knows, or comes twice")

    @property
    def _steps(self) -> dict[str, Callable[[Story, Step, dict[str, Any]], None]]:
        return {
            "message.submit_started.1": self._start,
            "message.submitted.1": self._submit,
            "message.submit_refused.1": self._refuse,
            "message.put_off.1": self._note,
            "message.outcome_unknown.1": self._lose,
            "message.report_noted.1": self._note,
        }

    def _begin(self, step: Step, facts: dict[str, Any]) -> None:
        if step.topic != "message.accepted.1" or step.version != 1:
            self._complain(step, "comes before the message was accepted")
            return
        self.stories[step.message_id] = Story(
            step.message_id,
            UUID(facts["account_id"]),
            UUID(facts["billing_account_id"]),
            facts["mode"],
            facts["to"],
            facts["text"],
            facts["price_micros"],
            campaign_id=facts.get("campaign_id"),
        )

    def _start(self, story: Story, step: Step, facts: dict[str, Any]) -> None:
        if story.in_call or story.status != "accepted":
            self._complain(step, f"begins a call on a message that is {story.status}")
        if story.answer_lost and not facts["possible_duplicate"]:
            self._complain(step, "may send again and does not say so")
        story.calls += 1
        story.in_call = True
        story.possible_duplicate = story.possible_duplicate or facts["possible_duplicate"]

    def _submit(self, story: Story, step: Step, facts: dict[str, Any]) -> None:
        receipt = (facts["aggregator"], facts["reference"])
        if receipt in story.references or len(story.references) >= story.calls:
            self._complain(step, "is a receipt too many")
        if facts["charged_micros"] and story.charged:
            self._complain(step, "charges a second time")
        story.references.append(receipt)
        story.charged += facts["charged_micros"]
        story.in_call = story.answer_lost = False
        if story.status == "accepted":
            story.status = "submitted"

    def _refuse(self, story: Story, _step: Step, _facts: dict[str, Any]) -> None:
        story.in_call = False

    def _lose(self, story: Story, _step: Step, _facts: dict[str, Any]) -> None:
        story.in_call, story.answer_lost = False, True

    def _note(self, _story: Story, _step: Step, _facts: dict[str, Any]) -> None:
        """Change nothing: it settles nothing."""

    def _end(self, story: Story, step: Step, facts: dict[str, Any]) -> None:
        outcome = ENDINGS[step.topic]
        if story.outcomes and outcome not in MAY_FOLLOW[story.outcomes[-1]]:
            self._complain(step, f"is a second outcome, after {story.outcomes[-1]}")
        story.outcomes.append(outcome)
        story.status = outcome
        story.refunded += facts.get("refunded_micros", 0)

    def _complain(self, step: Step, what: str) -> None:
        self.violations.append(
            f"step {step.version} of message {step.message_id.hex}, {step.topic}, {what}"
        )


def replay(steps: Iterable[Step]) -> MessageReplay:
    """Play steps back, each message's in order."""
    messages = MessageReplay()
    for step in steps:
        messages.play(step)
    return messages
