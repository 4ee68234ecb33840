"""Tables of awaited reports."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# What was submitted before this list was kept: of what no report settled, the later receipt. The
# questions that were due before are left out, but for the last one.
BACKFILL = """
INSERT INTO awaited_reports (
    message_id, account_id, billing_account_id, aggregator, network, reference, submitted_at,
    polls, next_poll_at)
SELECT DISTINCT ON (m.message_id)
    m.message_id, m.account_id, r.billing_account_id, r.aggregator, m.network, r.reference,
    taken.at, asked.times,
    CASE WHEN r.aggregator <> 'africastalking'
         THEN greatest(now(), taken.at + delays.all_of_them[asked.times + 1]) END
FROM provider_references AS r
JOIN messages AS m USING (message_id)
CROSS JOIN (VALUES (ARRAY[
    interval '2 minutes', interval '10 minutes', interval '1 hour', interval '6 hours',
    interval '24 hours'])) AS delays (all_of_them)
CROSS JOIN LATERAL (SELECT coalesce(m.submitted_at, r.submitted_at) AS at) AS taken
CROSS JOIN LATERAL (
    SELECT least(count(*), 4)::integer AS times FROM unnest(delays.all_of_them) AS delay
    WHERE taken.at + delay <= now()) AS asked
WHERE m.status IN ('accepted', 'submitted') AND NOT EXISTS (
    -- The list of messages may be behind the log.
    SELECT FROM message_events AS e
    WHERE e.originator_id = m.message_id AND e.topic IN (
        'message.delivered.1', 'message.failed.1', 'message.rejected.1', 'message.expired.1',
        'message.unknown.1'))
ORDER BY m.message_id, r.submitted_at DESC
ON CONFLICT DO NOTHING"""


def upgrade() -> None:
    """Create the tables, and list what was submitted before."""
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
    next_poll_at timestamptz,
    -- Until then one worker gives it up, and the others leave it alone.
    claimed_until timestamptz
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
    op.execute(BACKFILL)
