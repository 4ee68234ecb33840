"""The journal, closed months and statements."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_AMOUNTS = """
    customer_credits bigint NOT NULL,
    reserved bigint NOT NULL,
    payments bigint NOT NULL,
    revenue bigint NOT NULL,
    refunds bigint NOT NULL,
    adjustments bigint NOT NULL,
    opening_balances bigint NOT NULL,
    transfers bigint NOT NULL,
    agent_receivables bigint NOT NULL,
    agent_margin bigint NOT NULL,
    CHECK (customer_credits + reserved + payments + revenue + refunds + adjustments
           + opening_balances + transfers + agent_receivables + agent_margin = 0),
"""

_JOURNAL = f"""
CREATE TABLE journal (
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    month text NOT NULL,
    {_AMOUNTS}
    PRIMARY KEY (account_id, version)
);

CREATE TABLE journal_totals (
    month text NOT NULL,
    account_id uuid NOT NULL,
    entry_count bigint NOT NULL,
    last_version bigint NOT NULL,
    {_AMOUNTS}
    PRIMARY KEY (month, account_id)
) WITH (fillfactor = 50);
"""

# A month is closed by its row in accounting_months, which is written with the event. Positions
# and documents of a month without one are of a closing that was interrupted and will go on.
_MONTHS = """
CREATE TABLE month_positions (
    month text NOT NULL,
    account_id uuid NOT NULL,
    opening_version bigint NOT NULL,
    opening_posted_micros bigint NOT NULL,
    opening_reserved_micros bigint NOT NULL,
    opening_limit_micros bigint NOT NULL,
    closing_version bigint NOT NULL,
    closing_posted_micros bigint NOT NULL,
    closing_reserved_micros bigint NOT NULL,
    closing_limit_micros bigint NOT NULL,
    closing_entry_hash bytea NOT NULL CHECK (length(closing_entry_hash) = 32),
    PRIMARY KEY (month, account_id)
);

CREATE TABLE statements (
    account_id uuid NOT NULL,
    month text NOT NULL,
    document bytea NOT NULL,
    sha256 bytea NOT NULL CHECK (sha256 = sha256(document)),
    PRIMARY KEY (account_id, month)
);

CREATE TABLE accounting_months (
    month text PRIMARY KEY,
    account_count bigint NOT NULL,
    entry_count bigint NOT NULL,
    posted_micros bigint NOT NULL,
    reserved_micros bigint NOT NULL,
    positions_sha256 text NOT NULL,
    closed_by text NOT NULL,
    closed_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    """Create the tables."""
    for script in (_JOURNAL, _MONTHS):
        op.execute(script)
