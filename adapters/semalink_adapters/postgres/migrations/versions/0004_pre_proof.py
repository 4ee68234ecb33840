"""Signed checkpoints over the ledger."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Of the heads only those that changed since the checkpoint before: the leaves of any checkpoint
# are the newest row of each account up to its number.
# What refuses changes to the logs is not here but in `append_only.protect`, which runs after
# every migration, so that no later log is forgotten.
_CHECKPOINTS = """
CREATE TABLE ledger_checkpoints (
    number bigint PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    account_count bigint NOT NULL,
    root bytea NOT NULL CHECK (length(root) = 32),
    previous_hash bytea NOT NULL CHECK (length(previous_hash) = 32),
    checkpoint_hash bytea NOT NULL CHECK (length(checkpoint_hash) = 32),
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    signature bytea NOT NULL CHECK (length(signature) = 64)
);
CREATE INDEX ledger_checkpoints_by_time ON ledger_checkpoints (taken_at);

CREATE TABLE checkpoint_heads (
    account_id uuid NOT NULL,
    number bigint NOT NULL REFERENCES ledger_checkpoints,
    version bigint NOT NULL,
    entry_hash bytea NOT NULL CHECK (length(entry_hash) = 32),
    PRIMARY KEY (account_id, number)
);
CREATE INDEX checkpoint_heads_by_number ON checkpoint_heads (number, account_id);
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(_CHECKPOINTS)
