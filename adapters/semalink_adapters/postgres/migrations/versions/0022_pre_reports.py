"""Results of campaigns, and what was sent by which key."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# Which key sent something is only told by the log, so that it is counted anew from its beginning:
# the projector does so by itself, and reports are behind until it is through.
_USAGE = """
TRUNCATE usage;
ALTER TABLE usage
    ADD COLUMN api_key text NOT NULL,
    ADD COLUMN cancelled bigint NOT NULL,
    DROP CONSTRAINT usage_pkey,
    ADD CONSTRAINT usage_pkey PRIMARY KEY (
        account_id, day, mode, country, network, sender, aggregator, api_key);
UPDATE cursors SET xid = '0', position = 0 WHERE name = 'usage';
"""

_CAMPAIGNS = """
CREATE TABLE campaign_results (
    campaign_id uuid NOT NULL,
    network text NOT NULL,
    status text NOT NULL,
    failure_code text NOT NULL,
    messages bigint NOT NULL,
    submitted bigint NOT NULL,
    segments bigint NOT NULL,
    price_micros bigint NOT NULL,
    charged_micros bigint NOT NULL,
    refunded_micros bigint NOT NULL,
    PRIMARY KEY (campaign_id, network, status, failure_code)
) WITH (fillfactor = 50);

CREATE TABLE campaign_curve (
    campaign_id uuid NOT NULL,
    minute timestamptz NOT NULL,
    accepted bigint NOT NULL,
    submitted bigint NOT NULL,
    delivered bigint NOT NULL,
    ended bigint NOT NULL,
    PRIMARY KEY (campaign_id, minute)
) WITH (fillfactor = 50);
"""

# No campaign sent anything before there were any.
_ENTRIES = """
ALTER TABLE entries ADD COLUMN campaign_id uuid;
CREATE INDEX entries_by_campaign ON entries (campaign_id, account_id, version)
    WHERE campaign_id IS NOT NULL;
"""


def upgrade() -> None:
    """Add the columns and tables."""
    for script in (_USAGE, _CAMPAIGNS, _ENTRIES):
        op.execute(script)
