"""What was left at the aggregators, for reconciling with them."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of balances."""
    op.execute("""
CREATE TABLE provider_balances (
    aggregator text NOT NULL,
    taken_at timestamptz NOT NULL,
    -- In the aggregator's own words, such as "KES 1785.50".
    said text NOT NULL,
    left_micros bigint NOT NULL,
    PRIMARY KEY (aggregator, taken_at)
)""")
