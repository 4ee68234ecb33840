"""Opt-outs, and the networks that reports told."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Sender ids are matched without regard to case: an operator may write one in another.
_OPT_OUTS = """
CREATE TABLE opt_outs (
    opt_out_id uuid PRIMARY KEY,
    -- In which order they came; lists go by it.
    position bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- NULL: every account of the platform.
    account_id uuid,
    -- '': every sender id.
    sender text NOT NULL,
    sender_key text NOT NULL GENERATED ALWAYS AS (lower(sender)) STORED,
    -- In the collation of the contacts that it is joined with, else no index serves.
    number text COLLATE "C" NOT NULL,
    source text NOT NULL,
    how text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    recorded_at timestamptz NOT NULL,
    recorded_by text NOT NULL,
    lifted_at timestamptz,
    lifted_by text,
    lift_reason text,
    consent text,
    UNIQUE NULLS NOT DISTINCT (account_id, sender_key, number)
)
"""

_SENDER = "ALTER TABLE pending_submissions ADD COLUMN sender text"

# What waits already is looked up by recipient and sender id like what comes.
_FILL = """
UPDATE pending_submissions AS p
SET recipient = convert_from(e.state, 'UTF8')::jsonb ->> 'to',
    sender = convert_from(e.state, 'UTF8')::jsonb ->> 'sender'
FROM message_events AS e
WHERE e.originator_id = p.message_id AND e.originator_version = 1
"""

_NETWORKS = """
CREATE TABLE number_networks (
    -- In the collation of the contacts that it is joined with, else no index serves.
    number text COLLATE "C" PRIMARY KEY,
    network text NOT NULL,
    learned_at timestamptz NOT NULL,
    source text NOT NULL
)
"""


def upgrade() -> None:
    """Create the tables, and the sender id beside the recipient of what waits."""
    op.execute(_OPT_OUTS)
    op.execute("CREATE INDEX opt_outs_of_number ON opt_outs (number) WHERE is_active")
    op.execute("CREATE INDEX opt_outs_of_account ON opt_outs (account_id, position DESC)")
    op.execute(_SENDER)
    op.execute(_FILL)
    op.execute("CREATE INDEX approved_senders_by_name ON approved_senders (lower(sender))")
    op.execute(_NETWORKS)
    op.execute("CREATE INDEX number_networks_learned ON number_networks (learned_at)")
