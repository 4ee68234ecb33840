"""Tables of recoveries."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# What a recovery found and how far each event is; the events of recoveries are in admin_events.
# The counters change with the rows that they count, in one transaction.
_RECOVERIES = """
CREATE TABLE recoveries (
    recovery_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    mode text NOT NULL CHECK (mode IN ('failed', 'missing')),
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    event_types text[] NOT NULL,
    rate_per_second integer NOT NULL CHECK (rate_per_second > 0),
    state text NOT NULL CHECK (state IN ('running', 'paused', 'cancelled', 'completed')),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    matched_sequence bigint NOT NULL DEFAULT 0,
    matched_at timestamptz,
    turn_at timestamptz,
    matched_count bigint NOT NULL DEFAULT 0,
    sent_count bigint NOT NULL DEFAULT 0,
    delivered_count bigint NOT NULL DEFAULT 0,
    failed_count bigint NOT NULL DEFAULT 0,
    skipped_count bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE INDEX recoveries_of_endpoint ON recoveries (endpoint_id, recovery_id);
CREATE INDEX recoveries_under_way ON recoveries (turn_at NULLS FIRST)
    WHERE state = 'running';

CREATE TABLE recovery_items (
    recovery_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    event_sequence bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('matched', 'sent', 'delivered', 'failed', 'skipped')),
    PRIMARY KEY (recovery_id, delivery_id)
);

CREATE INDEX recovery_items_matched ON recovery_items (recovery_id, event_sequence)
    WHERE state = 'matched';
CREATE INDEX recovery_items_sent ON recovery_items (delivery_id) WHERE state = 'sent';
"""

# Those that a recovery sent and that were not tried since: never more than two seconds' worth.
_UNTRIED = """
CREATE INDEX webhook_deliveries_untried ON webhook_deliveries (recovery_id)
    WHERE recovery_id IS NOT NULL AND round_attempts = 0
        AND state IN ('waiting', 'issued', 'sending');
"""

# The few that failed, among the many that were delivered.
_FAILED = """
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (delivery_id DESC)
    WHERE state = 'failed';
CREATE INDEX webhook_deliveries_failed_by_account
    ON webhook_deliveries (account_id, delivery_id DESC) WHERE state = 'failed';
"""


def upgrade() -> None:
    """Create the tables."""
    for script in (_RECOVERIES, _UNTRIED, _FAILED):
        op.execute(script)
