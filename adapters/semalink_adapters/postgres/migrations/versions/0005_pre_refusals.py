"""What was refused, for auditors."""

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
    part integer
) PARTITION BY RANGE (refusal_id);
CREATE INDEX refusals_by_account ON refusals (account_id, refusal_id);
CREATE INDEX refusals_by_request ON refusals (request_id);
"""


def upgrade() -> None:
    """Create the table; its partitions are made by ``partitions.ensure``."""
    op.execute(_REFUSALS)
