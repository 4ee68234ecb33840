"""Rate limits: what was agreed on, and the buckets that processes lease from."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_AGREED = """
ALTER TABLE accounts
    ADD COLUMN rate_per_second int,
    ADD COLUMN burst int,
    ADD CHECK (rate_per_second > 0 AND burst >= rate_per_second);
ALTER TABLE api_keys
    ADD COLUMN rate_per_second int,
    ADD COLUMN burst int,
    ADD CHECK (rate_per_second > 0 AND burst >= rate_per_second);
"""

# Unlogged: what a crash of the server forgets is how empty buckets were, which lets each account
# have one burst more. In return, a lease writes no log and waits for no disk. The rows are few and
# rewritten often, so each page has room for new versions, and vacuum comes early.
_BUCKETS = """
CREATE UNLOGGED TABLE rate_buckets (
    account_id uuid NOT NULL,
    mode text NOT NULL,
    buckets bytea NOT NULL,
    PRIMARY KEY (account_id, mode)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.1);
"""


def upgrade() -> None:
    """Create the tables."""
    for script in (_AGREED, _BUCKETS):
        op.execute(script)
