"""The logs, the tables kept beside them, and the messages read model."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Columns that the library names, then ours: the writing transaction, for readers that must not
# skip (ADR-0007), and the time of the insert, taken under the account's lock for ledger entries.
_LOG_COLUMNS = """
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigserial,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
"""

_LOGS = f"""
CREATE TABLE ledger_entries ({_LOG_COLUMNS}
    message_id uuid,
    entry_hash bytea NOT NULL CHECK (length(entry_hash) = 32),
    PRIMARY KEY (originator_id, originator_version)
);
CREATE INDEX ledger_entries_by_position ON ledger_entries (xid, notification_id);
CREATE INDEX ledger_entries_by_message ON ledger_entries (message_id)
    WHERE message_id IS NOT NULL;

CREATE TABLE message_events ({_LOG_COLUMNS}
    PRIMARY KEY (originator_id, originator_version)
) PARTITION BY RANGE (originator_id);
CREATE INDEX message_events_by_position ON message_events (xid, notification_id);

CREATE TABLE admin_events ({_LOG_COLUMNS}
    PRIMARY KEY (originator_id, originator_version)
);
CREATE INDEX admin_events_by_position ON admin_events (xid, notification_id);

CREATE TABLE inbound_reports (
    report_id uuid PRIMARY KEY,
    aggregator text NOT NULL,
    content_type text NOT NULL,
    body bytea NOT NULL,
    received_at timestamptz NOT NULL,
    position bigserial,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
) PARTITION BY RANGE (report_id);
CREATE INDEX inbound_reports_by_position ON inbound_reports (xid, position);
"""

_MONEY = """
CREATE TABLE credit_heads (
    account_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    posted_micros bigint NOT NULL,
    reserved_micros bigint NOT NULL,
    credit_limit_micros bigint NOT NULL,
    entry_hash bytea NOT NULL,
    CONSTRAINT never_overdrawn
        CHECK (posted_micros - reserved_micros + credit_limit_micros >= 0),
    CONSTRAINT never_reserved_below_nothing CHECK (reserved_micros >= 0)
) WITH (fillfactor = 50);

CREATE TABLE open_reservations (
    reservation_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    amount_micros bigint NOT NULL CHECK (amount_micros > 0),
    opened_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE idempotency_keys (
    scope uuid NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    answer bytea,
    refusal_code text,
    refusal_detail text,
    refusal_pointer text,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys USING brin (stored_at);
"""

_WORK = """
CREATE TABLE pending_submissions (
    message_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    billing_account_id uuid NOT NULL,
    lane text NOT NULL,
    state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'postponed', 'unknown', 'parked')),
    due_at timestamptz,
    round integer NOT NULL DEFAULT 0,
    -- Who may hold a message whose outcome is unknown, and for whom.
    aggregator text,
    recipient text,
    queued_at timestamptz NOT NULL DEFAULT now(),
    -- How often it was put back because its queue was empty against the books.
    refills integer NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
);
CREATE INDEX pending_submissions_due ON pending_submissions (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX pending_submissions_expiring ON pending_submissions (expires_at)
    WHERE state IN ('queued', 'postponed', 'parked');
CREATE INDEX pending_submissions_unknown ON pending_submissions (aggregator, recipient)
    WHERE state = 'unknown';

CREATE TABLE provider_references (
    aggregator text NOT NULL,
    reference text NOT NULL,
    message_id uuid NOT NULL,
    billing_account_id uuid NOT NULL,
    submitted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregator, reference)
);
CREATE INDEX provider_references_by_time ON provider_references USING brin (submitted_at);

CREATE TABLE pending_reports (
    report_id uuid PRIMARY KEY,
    received_at timestamptz NOT NULL,
    refilled_at timestamptz,
    refills integer NOT NULL DEFAULT 0
);

CREATE TABLE report_shelf (
    report_id uuid NOT NULL,
    part integer NOT NULL,
    aggregator text NOT NULL,
    reference text NOT NULL,
    -- In E.164, when the report names it.
    recipient text,
    report bytea NOT NULL,
    shelved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (report_id, part)
);
CREATE INDEX report_shelf_by_reference ON report_shelf (aggregator, reference);
CREATE INDEX report_shelf_by_recipient ON report_shelf (aggregator, recipient)
    WHERE recipient IS NOT NULL;

CREATE TABLE cursors (
    name text PRIMARY KEY,
    xid xid8 NOT NULL,
    position bigint NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE broker_streams (
    stream text PRIMARY KEY,
    created_at timestamptz NOT NULL,
    last_sequence bigint NOT NULL
);
"""

_ACCOUNTS = """
CREATE TABLE accounts (
    account_id uuid PRIMARY KEY,
    billing_account_id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    tier text NOT NULL,
    preferred_aggregator text,
    opened_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    key_hash bytea PRIMARY KEY,
    api_key_id uuid NOT NULL UNIQUE,
    account_id uuid NOT NULL REFERENCES accounts,
    name text NOT NULL,
    scopes text[] NOT NULL,
    mode text NOT NULL,
    last_four text NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX api_keys_by_account ON api_keys (account_id);

CREATE TABLE approved_senders (
    account_id uuid NOT NULL REFERENCES accounts,
    sender text NOT NULL,
    PRIMARY KEY (account_id, sender)
);
"""

_READ_MODELS = """
CREATE TABLE messages (
    message_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    status text NOT NULL,
    mode text NOT NULL,
    recipient text NOT NULL,
    sender text NOT NULL,
    lane text NOT NULL,
    country text NOT NULL,
    network text,
    encoding text NOT NULL,
    segments integer NOT NULL,
    price_micros bigint NOT NULL,
    charged_micros bigint NOT NULL DEFAULT 0,
    refunded_micros bigint NOT NULL DEFAULT 0,
    possible_duplicate boolean NOT NULL DEFAULT false,
    aggregator text,
    reference text,
    failure_code text,
    -- Not jsonb, which cannot hold every string that JSON can.
    metadata json NOT NULL,
    accepted_at timestamptz NOT NULL,
    submitted_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz NOT NULL,
    version bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX messages_by_account ON messages (account_id, mode, message_id DESC);
CREATE INDEX messages_by_recipient ON messages (account_id, recipient, message_id DESC);
"""


def upgrade() -> None:
    """Create everything; partitions are made by ``partitions.ensure``."""
    for script in (_LOGS, _MONEY, _WORK, _ACCOUNTS, _READ_MODELS):
        op.execute(script)
