"""Several commands decided and committed as one: what a bundle of messages is worked on with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from semalink.application.ledger import Books, Command, Needs, PlainCommand
from semalink.domain.cause import Cause
from semalink.domain.errors import DomainError


@dataclass(frozen=True, slots=True)
class Together(PlainCommand):
    """Decide each of several commands, in order; one that is refused stops no other."""

    commands: Sequence[Command[Any]]
    cause: Cause

    @property
    def weight(self) -> int:  # type: ignore[override]
        """As many as they are about."""
        return sum(command.weight for command in self.commands)

    def needs(self, needs: Needs) -> None:
        """What each of them needs."""
        for command in self.commands:
            command.needs(needs)

    def decide(self, books: Books) -> list[Any]:
        """Return what each came to: its answer, or the DomainError that refused it."""
        return [_outcome(command, books) for command in self.commands]


def _outcome(command: Command[Any], books: Books) -> Any:
    try:
        return command.decide(books)
    except DomainError as refusal:
        # Raised before anything was changed, as every command must.
        return refusal
