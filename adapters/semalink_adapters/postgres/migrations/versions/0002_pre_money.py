"""What the verbs of the ledger need beside the first ones."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The columns of balances are constants for what is there: nothing in the first release could
# set a limit, name a customer or charge a part.
_MONEY = """
ALTER TABLE credit_heads ADD COLUMN is_low boolean NOT NULL DEFAULT false;
CREATE INDEX credit_heads_low ON credit_heads (account_id) WHERE is_low;

ALTER TABLE open_reservations
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN sub_account_id uuid,
    ADD COLUMN price_micros bigint,
    ADD COLUMN spending_month text;
-- Those of the first release expire as new ones do; a message is valid for three days at most.
UPDATE open_reservations AS r SET expires_at = interval '7 days' + COALESCE(
    (SELECT p.expires_at FROM pending_submissions AS p WHERE p.message_id = r.reservation_id),
    r.opened_at + interval '3 days');
CREATE INDEX open_reservations_expiring ON open_reservations (expires_at, reservation_id)
    WHERE expires_at IS NOT NULL;
CREATE INDEX open_reservations_by_account ON open_reservations (account_id);

-- Any balance of any instant is the last entry before it: one probe.
CREATE INDEX ledger_entries_by_time
    ON ledger_entries (originator_id, recorded_at, originator_version);

CREATE TABLE customer_spending (
    sub_account_id uuid NOT NULL,
    month text NOT NULL,
    spent_micros bigint NOT NULL,
    PRIMARY KEY (sub_account_id, month)
);
"""

_TERMS = """
ALTER TABLE accounts
    ADD COLUMN agent_id uuid,
    ADD COLUMN spending_cap_micros bigint,
    ADD COLUMN price_list jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN refunded_on text[];
CREATE INDEX accounts_by_agent ON accounts (agent_id, account_id) WHERE agent_id IS NOT NULL;

CREATE TABLE adjustments (
    adjustment_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    amount_micros bigint NOT NULL,
    category text NOT NULL,
    reason text NOT NULL,
    state text NOT NULL CHECK (state IN ('proposed', 'applied', 'rejected')),
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL,
    decided_by text,
    decided_at timestamptz,
    entry_version bigint
);
CREATE INDEX adjustments_by_state ON adjustments (state, adjustment_id);
CREATE INDEX adjustments_by_account ON adjustments (account_id, adjustment_id);
"""


def upgrade() -> None:
    """Add what limits, customers, adjustments and expiry need."""
    for script in (_MONEY, _TERMS):
        op.execute(script)
