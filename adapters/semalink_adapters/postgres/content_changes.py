"""What events of sender ids and content rules do to the tables kept in the same transaction."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from semalink.domain.content_errors import rule_in
from semalink.domain.content_rule import ContentRule
from semalink.domain.errors import ContentBlocked
from semalink.domain.message import Message
from semalink.domain.sender_id import SenderId
from semalink_adapters.postgres.arrays import pack_moments, pack_texts, pack_uuids

#: SQL and its parameters.
Statement = tuple[str, tuple[Any, ...]]
#: Rule, time, id of the message or refusal, mode, account.
MatchRow = tuple[str, datetime, UUID, str, UUID]

# One that older events approved may have its row already.
INSERT_SENDER_ID = """
INSERT INTO sender_ids (
    sender_id, account_id, sender, class, state, reason, opt_out_text, requested_at)
VALUES (%s, %s, %s, %s, 'requested', %s, %s, %s)
ON CONFLICT (sender_id) DO NOTHING"""

REQUEST_AGAIN = """
UPDATE sender_ids SET
    state = 'requested', class = %s, reason = %s, opt_out_text = %s, requested_at = %s
WHERE sender_id = %s"""

APPROVE = """
UPDATE sender_ids SET
    state = 'approved', class = %s, reason = %s, opt_out_text = %s, decided_at = %s
WHERE sender_id = %s"""

DECIDE = "UPDATE sender_ids SET state = %s, reason = %s, decided_at = %s WHERE sender_id = %s"

ADMIT = """
INSERT INTO approved_senders (account_id, sender, class, opt_out_text) VALUES (%s, %s, %s, %s)
ON CONFLICT (account_id, sender) DO UPDATE
SET class = excluded.class, opt_out_text = excluded.opt_out_text"""

SHUT_OUT = "DELETE FROM approved_senders WHERE account_id = %s AND sender = %s"

SET_RULE = """
INSERT INTO content_rules (name, mode, phrases, words, reason, changed_by, changed_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET
    mode = excluded.mode, phrases = excluded.phrases, words = excluded.words,
    reason = excluded.reason, changed_by = excluded.changed_by, changed_at = excluded.changed_at"""

REMOVE_RULE = "DELETE FROM content_rules WHERE name = %s"

INSERT_MATCHES = """
INSERT INTO content_rule_matches (rule, matched_at, match_id, mode, account_id)
SELECT * FROM unnest(%b::text[], %b::timestamptz[], %b::uuid[], %b::text[], %b::uuid[])"""

MATCH = (pack_texts, pack_moments, pack_uuids, pack_texts, pack_uuids)


def shadow_matches(event: Message.Created) -> Iterator[MatchRow]:
    """Return what rules in shadow mode found in an accepted message."""
    for rule in event.shadow_rules:
        yield rule, event.timestamp, event.originator_id, "shadow", event.account_id


def matches_in(refusals: Iterable[Sequence[Any]]) -> Iterator[MatchRow]:
    """Return what rules blocked, from the rows of refusals."""
    for refusal_id, refused_at, account_id, _, _, _, code, detail, _ in refusals:
        if code == ContentBlocked.code:
            yield rule_in(detail), refused_at, refusal_id, "block", account_id


def _requested(event: SenderId.Created) -> Sequence[Statement]:
    parameters = (
        event.originator_id,
        event.account_id,
        event.sender,
        event.sender_class,
        event.reason,
        event.opt_out_text,
        event.timestamp,
    )
    return [(INSERT_SENDER_ID, parameters)]


def _requested_again(event: SenderId.RequestedAgain) -> Sequence[Statement]:
    said = (event.sender_class, event.reason, event.opt_out_text, event.timestamp)
    return [(REQUEST_AGAIN, (*said, event.originator_id))]


def _approved(event: SenderId.Approved) -> Sequence[Statement]:
    said = (event.sender_class, event.reason, event.opt_out_text, event.timestamp)
    admitted = (event.account_id, event.sender, event.sender_class, event.opt_out_text)
    return [(APPROVE, (*said, event.originator_id)), (ADMIT, admitted)]


def _rejected(event: SenderId.Rejected) -> Sequence[Statement]:
    return [(DECIDE, ("rejected", event.reason, event.timestamp, event.originator_id))]


def _withdrawn(event: SenderId.Withdrawn) -> Sequence[Statement]:
    said = ("withdrawn", event.reason, event.timestamp, event.originator_id)
    return [(DECIDE, said), (SHUT_OUT, (event.account_id, event.sender))]


def _rule_set(event: ContentRule.Created | ContentRule.Changed) -> Sequence[Statement]:
    parameters = (
        event.rule,
        event.mode,
        event.phrases,
        event.words,
        event.explanation,
        event.actor,
        event.timestamp,
    )
    return [(SET_RULE, parameters)]


def _rule_removed(event: ContentRule.Removed) -> Sequence[Statement]:
    return [(REMOVE_RULE, (event.rule,))]


#: The statements of each kind of event, in order.
CONTENT_CHANGES: Mapping[type, Callable[[Any], Sequence[Statement]]] = {
    SenderId.Created: _requested,
    SenderId.RequestedAgain: _requested_again,
    SenderId.Approved: _approved,
    SenderId.Rejected: _rejected,
    SenderId.Withdrawn: _withdrawn,
    ContentRule.Created: _rule_set,
    ContentRule.Changed: _rule_set,
    ContentRule.Removed: _rule_removed,
}
