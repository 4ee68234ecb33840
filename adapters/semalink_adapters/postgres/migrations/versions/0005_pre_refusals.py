"""What was refused, and what leads auditors through the logs by time."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The id is a UUIDv7, so that months are partitions, as those of the logs.
_REFUSALS = """
CREATE TABLE refusals (
    refusal_id uuid PRIMARY KEY,
    refused_at timestamptz NOT NULL,
    account_id uuid NOT NULL,
    actor text NOT NULL,
    request_id text NOT NULL,
    command text NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    part integer,
    -- As that of the logs: the time of the insert, by which histories are ordered.
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (refusal_id);
CREATE INDEX refusals_by_account ON refusals (account_id, recorded_at, refusal_id);
CREATE INDEX refusals_by_request ON refusals (request_id);
"""

# A few bytes for many pages: what is written costs nothing more, and a span of time is found
# because logs are written in its order.
_BY_TIME = """
CREATE INDEX {log}_by_recording ON {log} USING brin (recorded_at)
    WITH (pages_per_range = 16, autosummarize = on);
"""

# Entries that people make are few among those of messages; without it a change of a limit
# would be looked for among millions.
_BY_HAND = """
CREATE INDEX ledger_entries_by_hand ON ledger_entries (originator_id, topic, recorded_at)
    WHERE topic IN (
        'credit_account.created.1', 'credit_account.topped_up.1', 'credit_account.adjusted.1',
        'credit_account.limit_set.1', 'credit_account.transferred_out.1',
        'credit_account.transferred_in.1', 'credit_account.limit_neared.1');
"""


def upgrade() -> None:
    """Create the table and the indexes; partitions are made by ``partitions.ensure``."""
    op.execute(_REFUSALS)
    for log in ("ledger_entries", "message_events", "admin_events", "refusals"):
        op.execute(_BY_TIME.format(log=log))
    op.execute(_BY_HAND)
