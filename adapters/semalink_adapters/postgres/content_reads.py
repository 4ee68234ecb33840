"""Reads of sender ids, of content rules and of what they found."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from semalink.application.content_reading import (
    ManagedRule,
    MatchView,
    SenderIdFilter,
    SenderIdView,
)
from semalink.application.history import REFUSAL_PREFIX, Place
from semalink.domain.blocklist import BlocklistRule
from semalink.domain.content_rule import rule_of
from semalink.domain.ids import ACCOUNT_PREFIX, MESSAGE_PREFIX, format_id
from semalink.domain.sender_id import SENDER_ID_PREFIX
from semalink_adapters.postgres.queries import Queries

# One sender id is of one class on the air, whoever uses it, and in whatever letters.
SELECT_SENDER_IDS = """
SELECT * FROM (
    SELECT sender_id, account_id, sender,
           CASE WHEN EXISTS (
               SELECT FROM approved_senders AS o
               WHERE lower(o.sender) = lower(i.sender) AND o.class = 'promotional')
           THEN 'promotional' ELSE i.class END AS class,
           state, reason, opt_out_text, requested_at, decided_at
    FROM sender_ids AS i
) AS s WHERE {conditions}
ORDER BY requested_at DESC, sender_id DESC LIMIT %(limit)s"""

COUNT_WAITING = """
SELECT count(*) FROM sender_ids WHERE account_id = %s AND state = 'requested'"""

SELECT_RULES = """
SELECT name, mode, phrases, words, reason, changed_by, changed_at
FROM content_rules ORDER BY name"""

COUNT_MATCHES = """
SELECT rule, mode, count(*) FROM content_rule_matches WHERE matched_at >= %s GROUP BY rule, mode"""

SELECT_MATCHES = """
SELECT rule, mode, account_id, match_id, matched_at FROM content_rule_matches
WHERE rule = %(rule)s AND (%(mode)s::text IS NULL OR mode = %(mode)s)
  AND (%(at)s::timestamptz IS NULL OR (matched_at, match_id) < (%(at)s, %(id)s::uuid))
ORDER BY matched_at DESC, match_id DESC LIMIT %(limit)s"""


class PostgresSenderIdReads(Queries):
    """Sender ids over a pool; raises ReadsUnavailable while the database is away."""

    async def sender_id(self, sender_id: UUID, account_id: UUID | None) -> SenderIdView | None:
        """Return one; None for another account's, any account's when that is None."""
        conditions = ["sender_id = %(sender_id)s"]
        if account_id is not None:
            conditions.append("account_id = %(account_id)s")
        asked = {"sender_id": sender_id, "account_id": account_id, "limit": 1}
        rows = await self._all(_where(conditions), asked)
        return _sender_view(rows[0]) if rows else None

    async def sender_ids(
        self, wanted: SenderIdFilter, *, before: Place | None, limit: int
    ) -> Sequence[SenderIdView]:
        """Return those that fit, the last asked for first, behind a place."""
        asked: dict[str, Any] = {
            "account_id": wanted.account_id,
            "state": wanted.state,
            "class": wanted.sender_class,
            "sender": wanted.sender,
        }
        conditions = [f"{name} = %({name})s" for name in asked if asked[name] is not None]
        asked["limit"] = limit
        if before is not None:
            conditions.append("(requested_at, sender_id) < (%(at)s, %(id)s)")
            asked |= {"at": before.at, "id": before.id}
        return [_sender_view(row) for row in await self._all(_where(conditions), asked)]

    async def waiting_count(self, account_id: UUID) -> int:
        """Return how many of an account wait for their decision."""
        [(count,)] = await self._all(COUNT_WAITING, (account_id,))
        return int(count)


class PostgresContentRules(Queries):
    """Content rules over a pool; raises ReadsUnavailable while the database is away."""

    #: What was read last, and what it came to: rules are read often and change seldom.
    _known: tuple[list[Any], list[BlocklistRule]] = ([], [])

    async def managed_rules(self) -> Sequence[BlocklistRule]:
        """Return the rules that operators manage, by name, as texts are held to them."""
        rows = await self._all(SELECT_RULES, None)
        if rows != self._known[0]:
            self._known = rows, await asyncio.to_thread(_rules_in, rows)
        return self._known[1]

    async def rule_records(self) -> Sequence[ManagedRule]:
        """Return the rules that operators manage, by name."""
        return [
            ManagedRule(row[0], row[1], row[2], row[3], row[4], row[5], row[6].astimezone(UTC))
            for row in await self._all(SELECT_RULES, None)
        ]

    async def match_counts(self, since: datetime) -> Mapping[tuple[str, str], int]:
        """Count what rules found since then, by rule and mode."""
        rows = await self._all(COUNT_MATCHES, (since,))
        return {(rule, mode): count for rule, mode, count in rows}

    async def matches(
        self, rule: str, mode: str | None, *, before: Place | None, limit: int
    ) -> Sequence[tuple[Place, MatchView]]:
        """Return what a rule found, newest first, behind a place."""
        asked = {
            "rule": rule,
            "mode": mode,
            "at": None if before is None else before.at,
            "id": None if before is None else before.id,
            "limit": limit,
        }
        return [_match(row) for row in await self._all(SELECT_MATCHES, asked)]


def _rules_in(rows: list[Any]) -> list[BlocklistRule]:
    return [
        rule_of(name, mode, phrases, words, why) for name, mode, phrases, words, why, *_ in rows
    ]


def _where(conditions: list[str]) -> str:
    return SELECT_SENDER_IDS.format(conditions=" AND ".join(conditions) or "true")


def _sender_view(row: Any) -> SenderIdView:
    sender_id, account_id, sender, sender_class, state, reason, opt_out_text, asked, decided = row
    return SenderIdView(
        format_id(SENDER_ID_PREFIX, sender_id),
        format_id(ACCOUNT_PREFIX, account_id),
        sender,
        sender_class,
        state,
        reason,
        opt_out_text,
        asked.astimezone(UTC),
        None if decided is None else decided.astimezone(UTC),
    )


def _match(row: Any) -> tuple[Place, MatchView]:
    rule, mode, account_id, match_id, matched_at = row
    at = matched_at.astimezone(UTC)
    view = MatchView(
        rule=rule,
        mode=mode,
        account_id=format_id(ACCOUNT_PREFIX, account_id),
        message_id=format_id(MESSAGE_PREFIX, match_id) if mode == "shadow" else None,
        refusal_id=format_id(REFUSAL_PREFIX, match_id) if mode == "block" else None,
        at=at,
    )
    return Place(at, 0, match_id, 0), view
