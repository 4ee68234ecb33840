"""Networks that reports told: kept with the steps that told them, joined with any numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from semalink.application.learned_networks import TELLING, ToldNetwork, told_network
from semalink.domain.message import Message
from semalink_adapters.postgres.arrays import pack_columns, pack_moments, pack_texts
from semalink_adapters.postgres.bundle import Bundle

LEARN = """
INSERT INTO number_networks AS n (number, network, learned_at, source)
SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::text[])
ON CONFLICT (number) DO UPDATE SET
    network = excluded.network, learned_at = excluded.learned_at, source = excluded.source
WHERE n.network <> excluded.network AND n.learned_at <= excluded.learned_at"""

# What the prefix says is kept for those numbers only of which something else was known before.
CONFIRM = """
UPDATE number_networks AS n SET
    network = told.network, learned_at = told.learned_at, source = told.source
FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::text[])
    AS told (number, network, learned_at, source)
WHERE n.number = told.number AND n.network <> told.network AND n.learned_at <= told.learned_at"""

_COLUMNS = (pack_texts, pack_texts, pack_moments, pack_texts)


def network_of(number: str, by_prefix: str) -> str:
    """Return the SQL of a number's network, for columns of a query: learned, else by prefix."""
    learned = f"SELECT n.network FROM number_networks AS n WHERE n.number = {number}"  # noqa: S608
    return f"COALESCE(({learned}), {by_prefix})"


@dataclass(slots=True)
class NetworkChanges:
    """What the events of one batch tell of numbers, the last word of each."""

    #: The messages that the batch loaded.
    messages: Mapping[UUID, Message]
    told: dict[str, ToldNetwork] = field(default_factory=dict)

    def fold(self, event: Any) -> None:
        """Add what an event tells."""
        if not isinstance(event, TELLING):
            return
        told = told_network(event, self.messages[event.originator_id])
        if told is not None:
            self.told[told.number] = told

    def add_to(self, bundle: Bundle) -> None:
        """Add what changes the table; in order, so that two writers do not wait for each other."""
        in_order = [self.told[number] for number in sorted(self.told)]
        for statement, is_guessed in ((LEARN, False), (CONFIRM, True)):
            rows = [one[:4] for one in in_order if one.is_guessed is is_guessed]
            if rows:
                bundle.add(statement, pack_columns(_COLUMNS, rows))
