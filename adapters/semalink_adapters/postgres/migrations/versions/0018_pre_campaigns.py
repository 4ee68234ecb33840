"""Campaigns, their recipients, and messages that belong to one."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_CAMPAIGNS = """
CREATE TABLE campaigns (
    campaign_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    billing_account_id uuid NOT NULL,
    mode text NOT NULL,
    state text NOT NULL,
    -- What is to be sent to whom, and how, as the customer wrote it.
    plan jsonb NOT NULL,
    -- Raised by every edit: what was found for another revision is of no use.
    revision integer NOT NULL,
    -- What the check found, for the revision; null while it was not checked.
    quote jsonb,
    -- Why it is a draft again, when something went wrong.
    problem_code text,
    problem_detail text,
    -- When it starts, and what it is entitled to; null before.
    start_at timestamptz,
    message_count bigint,
    reserved_micros bigint,
    started_at timestamptz,
    completed_at timestamptz,
    -- What was not spent of the reservation, given back when nothing more can be charged.
    settled_at timestamptz,
    released_micros bigint,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX campaigns_by_account ON campaigns (account_id, campaign_id DESC);
CREATE INDEX campaigns_due ON campaigns (start_at) WHERE state = 'scheduled';
CREATE INDEX campaigns_at_work ON campaigns (campaign_id)
    WHERE state IN ('checking', 'sending', 'paused') OR (started_at IS NOT NULL
    AND settled_at IS NULL);
CREATE INDEX campaigns_awaiting ON campaigns (campaign_id) WHERE state = 'awaiting_approval';

-- Frozen when the campaign is checked, so that a list may change or go meanwhile.
CREATE TABLE campaign_recipients (
    campaign_id uuid NOT NULL,
    -- From 0, in the order in which they are served.
    place integer NOT NULL,
    -- As written by the customer when it is no number; E.164 otherwise.
    number text NOT NULL,
    country text,
    network text,
    variables jsonb,
    -- 'ready' is what is sent; who is left out says why: 'invalid_number', 'duplicate', ...
    state text NOT NULL DEFAULT 'unchecked' CHECK (state IN ('unchecked', 'ready', 'left_out')),
    reason text,
    -- The variable that is missing, or the rule that blocks.
    reason_detail text,
    -- What is sent, word for word; null for who is left out.
    text text,
    -- Rules in shadow mode that would have blocked it; null: none.
    shadow_rules text[],
    encoding text,
    segments smallint,
    price_micros bigint,
    cost_micros bigint,
    priced_by text,
    PRIMARY KEY (campaign_id, place)
) WITH (fillfactor = 50);
"""

_MESSAGES = """
ALTER TABLE messages ADD COLUMN campaign_id uuid;
CREATE INDEX messages_by_campaign ON messages (campaign_id, message_id)
    WHERE campaign_id IS NOT NULL;
ALTER TABLE open_reservations ADD COLUMN campaign_id uuid;
"""

# Held: accepted, and dealt out when its campaign may send. Waiting: its account has its share of
# the queue.
_WORK = """
ALTER TABLE pending_submissions
    ADD COLUMN campaign_id uuid,
    DROP CONSTRAINT pending_submissions_state_check,
    ADD CONSTRAINT pending_submissions_state_check CHECK (
        state IN ('queued', 'postponed', 'unknown', 'parked', 'held', 'waiting'));
CREATE INDEX pending_submissions_held ON pending_submissions (campaign_id, message_id)
    WHERE state = 'held';
CREATE INDEX pending_submissions_by_campaign ON pending_submissions (campaign_id)
    WHERE campaign_id IS NOT NULL;
DROP INDEX pending_submissions_expiring;
CREATE INDEX pending_submissions_expiring ON pending_submissions (expires_at)
    WHERE state IN ('queued', 'postponed', 'parked', 'held', 'waiting');
"""


def upgrade() -> None:
    """Create the tables and columns."""
    for script in (_CAMPAIGNS, _MESSAGES, _WORK):
        op.execute(script)
