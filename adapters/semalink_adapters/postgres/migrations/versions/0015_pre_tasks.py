"""Tasks for workers, contact lists and imports."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# What a worker has still to do. A row is inserted with what calls for the work and deleted with
# the work's effect; the broker only carries its id.
_TASKS = """
CREATE TABLE tasks (
    task_id uuid PRIMARY KEY,
    queue text NOT NULL CHECK (queue IN ('contacts.validate', 'sms.content')),
    kind text NOT NULL,
    account_id uuid NOT NULL,
    -- Ids and numbers of pieces; never a text or a phone number.
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'queued', 'parked')),
    round integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
) WITH (fillfactor = 50);

CREATE INDEX tasks_waiting ON tasks (created_at, task_id) WHERE state = 'waiting';
CREATE INDEX tasks_queued ON tasks (queue, published_at) WHERE state = 'queued';
CREATE INDEX tasks_parked ON tasks (published_at) WHERE state = 'parked';
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(_TASKS)
