"""Sender ids with their class, and rules of content with what they found."""

from uuid import UUID, uuid5

from alembic import op
from sqlalchemy import Connection

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SENDER_IDS = """
CREATE TABLE sender_ids (
    sender_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    sender text NOT NULL,
    class text NOT NULL CHECK (class IN ('promotional', 'transactional')),
    state text NOT NULL CHECK (state IN ('requested', 'approved', 'rejected', 'withdrawn')),
    reason text NOT NULL,
    opt_out_text text,
    requested_at timestamptz NOT NULL,
    decided_at timestamptz,
    UNIQUE (account_id, sender)
);
CREATE INDEX sender_ids_by_request ON sender_ids (requested_at, sender_id);
CREATE INDEX sender_ids_waiting ON sender_ids (requested_at, sender_id) WHERE state = 'requested';
"""

# What was approved before there were classes went out at any hour.
_CLASSES = """
ALTER TABLE approved_senders
    ADD COLUMN class text NOT NULL DEFAULT 'transactional',
    ADD COLUMN opt_out_text text;
CREATE INDEX approved_senders_promotional ON approved_senders (lower(sender))
    WHERE class = 'promotional';
"""

_SELECT_APPROVED = """
SELECT s.account_id, s.sender, a.opened_at
FROM approved_senders AS s JOIN accounts AS a ON a.account_id = s.account_id"""

_FILL = """
INSERT INTO sender_ids (
    sender_id, account_id, sender, class, state, reason, requested_at, decided_at)
VALUES (%s, %s, %s, 'transactional', 'approved', '', %s, %s)"""

#: As the domain makes the id of an account's sender id.
_NAMESPACE = UUID("0f4f1d5c-6a0e-5d6b-8a55-6c2d7f0b5a19")

_RULES = """
CREATE TABLE content_rules (
    name text PRIMARY KEY,
    mode text NOT NULL CHECK (mode IN ('block', 'shadow')),
    phrases text[] NOT NULL,
    words text[] NOT NULL,
    reason text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);
"""

# Rows are few: a rule that is found often is a mistake, or an attack.
_MATCHES = """
CREATE TABLE content_rule_matches (
    rule text NOT NULL,
    matched_at timestamptz NOT NULL,
    -- The message that was accepted, or the refusal.
    match_id uuid NOT NULL,
    mode text NOT NULL,
    account_id uuid NOT NULL,
    PRIMARY KEY (rule, matched_at, match_id)
);
CREATE INDEX content_rule_matches_by_time ON content_rule_matches (matched_at);
"""


def upgrade() -> None:
    """Create the tables, and list what is approved already."""
    for statements in (_SENDER_IDS, _CLASSES, _RULES, _MATCHES):
        op.execute(statements)
    list_approved(op.get_bind())


def list_approved(connection: Connection) -> None:
    """List what the release before approved, as approved and transactional."""
    for account_id, sender, opened_at in connection.exec_driver_sql(_SELECT_APPROVED).fetchall():
        sender_id = uuid5(_NAMESPACE, f"{account_id.hex}:{sender}")
        parameters = (sender_id, account_id, sender, opened_at, opened_at)
        connection.exec_driver_sql(_FILL, parameters)
