"""Read models that can be rebuilt beside the live ones."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MESSAGES = """
ALTER TABLE messages
    ADD COLUMN cost_micros bigint,
    ADD COLUMN provider_cost_micros bigint,
    ADD COLUMN provider_currency text;
-- What was accepted before had no other cost than its price.
UPDATE messages SET cost_micros = price_micros;
ALTER TABLE messages ALTER COLUMN cost_micros SET NOT NULL;
"""

_BALANCES_AND_ENTRIES = """
CREATE TABLE balances (
    account_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    posted_micros bigint NOT NULL,
    reserved_micros bigint NOT NULL,
    credit_limit_micros bigint NOT NULL,
    is_low boolean NOT NULL,
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE entries (
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    name text NOT NULL,
    amount_micros bigint,
    posted_after_micros bigint NOT NULL,
    reserved_after_micros bigint NOT NULL,
    credit_limit_after_micros bigint NOT NULL,
    reservation_id uuid,
    message_id uuid,
    sub_account_id uuid,
    price_micros bigint,
    actor text NOT NULL,
    request_id text NOT NULL,
    facts json NOT NULL,
    PRIMARY KEY (account_id, version)
);
CREATE INDEX entries_by_customer ON entries (sub_account_id, account_id, version)
    WHERE sub_account_id IS NOT NULL;
"""

_USAGE = """
CREATE TABLE usage (
    day date NOT NULL,
    account_id uuid NOT NULL,
    mode text NOT NULL,
    country text NOT NULL,
    network text NOT NULL,
    sender text NOT NULL,
    aggregator text NOT NULL,
    accepted bigint NOT NULL,
    submitted bigint NOT NULL,
    delivered bigint NOT NULL,
    failed bigint NOT NULL,
    rejected bigint NOT NULL,
    expired bigint NOT NULL,
    unknown bigint NOT NULL,
    segments bigint NOT NULL,
    price_micros bigint NOT NULL,
    charged_micros bigint NOT NULL,
    refunded_micros bigint NOT NULL,
    PRIMARY KEY (account_id, day, mode, country, network, sender, aggregator)
) WITH (fillfactor = 50);
CREATE INDEX usage_by_day ON usage (day);
"""

# Builds are kept as the history of rebuilds; at most one of a projection is under way.
_BUILDS = """
CREATE TABLE projection_builds (
    projection text NOT NULL,
    number integer NOT NULL,
    state text NOT NULL CHECK (state IN ('loading', 'following', 'swapped', 'cancelled')),
    schema_hash text NOT NULL,
    -- The load reads stream by stream what is not beyond this place.
    until_xid xid8 NOT NULL,
    until_position bigint NOT NULL,
    loaded_id uuid NOT NULL,
    loaded_version bigint NOT NULL,
    -- After the load, how far the new tables have come in the order of commits.
    xid xid8 NOT NULL,
    position bigint NOT NULL,
    event_count bigint NOT NULL DEFAULT 0,
    events_expected bigint NOT NULL,
    difference_count bigint,
    started_at timestamptz NOT NULL DEFAULT now(),
    moved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, number)
);
CREATE UNIQUE INDEX projection_builds_under_way ON projection_builds (projection)
    WHERE state IN ('loading', 'following');

CREATE TABLE projection_failures (
    projection text PRIMARY KEY,
    -- The class of the error, and the event that it came at; never what the event says.
    error text NOT NULL,
    topic text,
    originator_id uuid,
    originator_version bigint,
    attempt_count bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    failed_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    """Add the columns of costs, the new read models and what a rebuild writes down."""
    for script in (_MESSAGES, _BALANCES_AND_ENTRIES, _USAGE, _BUILDS):
        op.execute(script)
