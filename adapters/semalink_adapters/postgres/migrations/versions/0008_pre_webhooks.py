"""Endpoints, deliveries with their log, and the feed of each account."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# As the other logs (0001, 0005). The id of a delivery is a UUIDv7 with the time of its event.
_LOG = """
CREATE TABLE webhook_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigserial,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (originator_id, originator_version)
) PARTITION BY RANGE (originator_id);
CREATE INDEX webhook_events_by_position ON webhook_events (xid, notification_id);
CREATE INDEX webhook_events_by_recording ON webhook_events USING brin (recorded_at)
    WITH (pages_per_range = 16, autosummarize = on);
"""

_ENDPOINTS = """
CREATE TABLE webhook_endpoints (
    endpoint_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    url text NOT NULL,
    event_types text[] NOT NULL,
    state text NOT NULL DEFAULT 'enabled'
        CHECK (state IN ('enabled', 'paused', 'disabled', 'removed')),
    disabled_reason text,
    rate_per_second integer NOT NULL,
    concurrency integer NOT NULL,
    description text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX webhook_endpoints_by_account ON webhook_endpoints (account_id);
CREATE INDEX webhook_endpoints_removed ON webhook_endpoints (changed_at) WHERE state = 'removed';

-- Never the secret itself: 32 bytes under the key of the setting, with the id as context.
CREATE TABLE webhook_secrets (
    secret_id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('v1', 'v1a')),
    sealed bytea NOT NULL,
    fingerprint text NOT NULL,
    public_key bytea,
    created_at timestamptz NOT NULL,
    expires_at timestamptz
);
CREATE INDEX webhook_secrets_by_endpoint ON webhook_secrets (endpoint_id, secret_id DESC);
CREATE INDEX webhook_secrets_expiring ON webhook_secrets (expires_at) WHERE expires_at IS NOT NULL;

-- Workers count here what they record; the dispatcher judges by it and sets the breaker.
CREATE TABLE webhook_endpoint_health (
    endpoint_id uuid PRIMARY KEY,
    success_count bigint NOT NULL DEFAULT 0,
    failure_count bigint NOT NULL DEFAULT 0,
    -- Since the last success, as is the time of the first.
    consecutive_failures bigint NOT NULL DEFAULT 0,
    failing_since timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_latency_ms bigint,
    -- The breaker: openings in a row, the last of them and its end.
    times_opened integer NOT NULL DEFAULT 0,
    opened_at timestamptz,
    open_until timestamptz,
    -- Per cent of the time to being disabled of which the owner was warned.
    warned_percent smallint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
"""

# The payload is that of the event in the feed, unless the event is in no feed.
_DELIVERIES = """
CREATE TABLE webhook_deliveries (
    delivery_id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL,
    account_id uuid NOT NULL,
    event_id text NOT NULL,
    event_name text NOT NULL,
    event_sequence bigint,
    message_id uuid,
    payload bytea,
    trigger text NOT NULL DEFAULT 'auto',
    recovery_id uuid,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN (
        'waiting', 'issued', 'sending', 'delivered', 'failed', 'cancelled')),
    attempt_no integer NOT NULL DEFAULT 0,
    round_attempts integer NOT NULL DEFAULT 0,
    round_began_at timestamptz,
    next_attempt_at timestamptz,
    issued_at timestamptz,
    lease_until timestamptz,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    last_status integer,
    last_error text
) WITH (fillfactor = 70);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at)
    WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_out ON webhook_deliveries (endpoint_id, state)
    WHERE state IN ('issued', 'sending');
CREATE INDEX webhook_deliveries_by_account ON webhook_deliveries (account_id, delivery_id DESC);
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, delivery_id DESC);
CREATE INDEX webhook_deliveries_by_message
    ON webhook_deliveries (message_id, account_id, delivery_id DESC) WHERE message_id IS NOT NULL;
-- The few that are not over, among all that ever were; and the fewer that never will be.
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (delivery_id DESC)
    WHERE state IN ('waiting', 'issued', 'sending');
CREATE INDEX webhook_deliveries_open_by_account ON webhook_deliveries (account_id, delivery_id DESC)
    WHERE state IN ('waiting', 'issued', 'sending');
CREATE INDEX webhook_deliveries_cancelled ON webhook_deliveries (delivery_id DESC)
    WHERE state = 'cancelled';
CREATE INDEX webhook_deliveries_cancelled_by_account
    ON webhook_deliveries (account_id, delivery_id DESC) WHERE state = 'cancelled';
"""

# By the time of the writing, so that old months are dropped whole. The counter outlives them.
_FEED = """
CREATE TABLE account_events (
    account_id uuid NOT NULL,
    sequence bigint NOT NULL,
    event_id text NOT NULL,
    name text NOT NULL,
    occurred_at timestamptz NOT NULL,
    payload bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, sequence, recorded_at)
) PARTITION BY RANGE (recorded_at);

CREATE TABLE account_feeds (
    account_id uuid PRIMARY KEY,
    last_sequence bigint NOT NULL
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    """Create the tables; partitions are made by ``partitions.ensure``."""
    for script in (_LOG, _ENDPOINTS, _DELIVERIES, _FEED):
        op.execute(script)
