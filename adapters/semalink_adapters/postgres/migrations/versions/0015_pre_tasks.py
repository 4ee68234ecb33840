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

# What the events of lists and imports say; only the ledger writes here.
_LISTS = """
CREATE TABLE contact_lists (
    list_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    name text NOT NULL,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'deleted')),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE INDEX contact_lists_of_account ON contact_lists (account_id, list_id)
    WHERE state = 'active';
CREATE INDEX contact_lists_deleted ON contact_lists (list_id) WHERE state = 'deleted';

CREATE TABLE contact_imports (
    import_id uuid PRIMARY KEY,
    list_id uuid NOT NULL,
    account_id uuid NOT NULL,
    format text NOT NULL CHECK (format IN ('csv', 'ndjson')),
    default_country text NOT NULL,
    delimiter text NOT NULL,
    columns text[] NOT NULL,
    number_column text,
    row_count integer NOT NULL,
    piece_count integer NOT NULL,
    byte_count bigint NOT NULL,
    state text NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'finished', 'failed', 'cancelled')),
    failure text,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz
);

CREATE INDEX contact_imports_of_list ON contact_imports (list_id, import_id);
CREATE INDEX contact_imports_of_account ON contact_imports (account_id);
CREATE INDEX contact_imports_running ON contact_imports (account_id)
    WHERE state = 'running';
CREATE INDEX contact_imports_ended ON contact_imports (ended_at) WHERE ended_at IS NOT NULL;
"""

# What workers write, apart from the tables of the ledger, which must never wait for a worker.
_CONTACTS = """
CREATE TABLE contact_list_counts (
    list_id uuid PRIMARY KEY,
    contact_count bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE contacts (
    list_id uuid NOT NULL,
    number text COLLATE "C" NOT NULL,
    country text NOT NULL,
    network text,
    attributes jsonb NOT NULL,
    -- The import that named it last, by which rows of one number are told in a file.
    import_id uuid,
    added_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (list_id, number)
);

CREATE TABLE contact_import_pieces (
    import_id uuid NOT NULL,
    piece_no integer NOT NULL,
    first_line integer NOT NULL,
    row_count integer NOT NULL,
    content bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (import_id, piece_no)
);

-- As it is: it is read once, and compressing it takes longer than writing it.
ALTER TABLE contact_import_pieces ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE INDEX contact_import_pieces_stored ON contact_import_pieces (stored_at);

CREATE TABLE contact_import_progress (
    import_id uuid PRIMARY KEY,
    added_count integer NOT NULL DEFAULT 0,
    updated_count integer NOT NULL DEFAULT 0,
    duplicate_count integer NOT NULL DEFAULT 0,
    invalid_count integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE contact_import_rejects (
    import_id uuid NOT NULL,
    line integer NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (import_id, line)
);
"""


def upgrade() -> None:
    """Create the tables."""
    for script in (_TASKS, _LISTS, _CONTACTS):
        op.execute(script)
