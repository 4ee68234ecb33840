"""Tables of awaited reports."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.execute("""
-- Messages that an aggregator took and whose final report has not come.
CREATE TABLE awaited_reports (
    message_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    billing_account_id uuid NOT NULL,
    aggregator text NOT NULL,
    network text,
    reference text NOT NULL,
    submitted_at timestamptz NOT NULL,
    -- What the last report that settled nothing said, in our words; null when none came.
    last_state text,
    -- How often the aggregator was asked, and when it is asked next; null: never.
    polls integer NOT NULL DEFAULT 0,
    next_poll_at timestamptz
) WITH (fillfactor = 80)""")
    op.execute("CREATE INDEX awaited_reports_by_time ON awaited_reports (submitted_at)")
    op.execute("""
CREATE INDEX awaited_reports_to_poll ON awaited_reports (aggregator, next_poll_at)
    WHERE next_poll_at IS NOT NULL""")
    op.execute("""
-- Which second is paid for: however many workers there are, one of them asks in each.
CREATE TABLE report_poll_pace (
    aggregator text PRIMARY KEY,
    next_at timestamptz NOT NULL
)""")
