"""Logs that nobody changes: by the rights of the role that writes, and by triggers."""

from typing import Any, LiteralString

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Identifier

from semalink_adapters.postgres import partitions

#: What runs as this role can add to the logs, and change nothing in them.
WRITER = "semalink_writer"

LOGS = (
    "ledger_entries",
    "message_events",
    "admin_events",
    "webhook_events",
    "refusals",
    "ledger_checkpoints",
    "checkpoint_heads",
    "month_positions",
    "statements",
    "accounting_months",
)

#: Another database of the same server may make the role at the same moment.
_ATTEMPTS = 5

_FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is refused: % is a log, and what is in a log is never changed',
        TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Correct it with a new entry: adjust, refund or release.';
END $$"""

_ROW_TRIGGER = """
CREATE OR REPLACE TRIGGER no_change BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION refuse_change()"""

# Partitions get the trigger of rows from their parent, and this one not.
_TRUNCATE_TRIGGER = """
CREATE OR REPLACE TRIGGER no_truncation BEFORE TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"""

#: Every log and partition of one, with the triggers that it has and that stop everybody.
_SELECT_TRIGGERS = """
SELECT c.oid::regclass::text, c.oid::regclass::text = ANY(%(logs)s),
       COALESCE(array_agg(t.tgname::text) FILTER (WHERE t.tgenabled IN ('O', 'A')), '{}')
FROM pg_class AS c
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname IN ('no_change', 'no_truncation')
WHERE c.relkind IN ('r', 'p')
  AND (c.oid = ANY(%(logs)s::regclass[]::oid[]) OR i.inhparent = ANY(%(logs)s::regclass[]::oid[]))
GROUP BY c.oid ORDER BY 1"""

_SELECT_EXCESS = """
SELECT log || ' ' || privilege FROM unnest(%s::text[]) AS log,
    unnest('{UPDATE,DELETE,TRUNCATE}'::text[]) AS privilege
WHERE has_table_privilege(%s, log, privilege) ORDER BY 1"""

_GRANTS: tuple[LiteralString, ...] = (
    "GRANT USAGE ON SCHEMA public TO {writer}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {writer}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {writer}",
    # Read models are rebuilt as new tables, which readers must be able to read.
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {writer}",
)


class RoleMissing(Exception):
    """The role of the writers is not there, and may not be made by whoever migrates."""

    def __init__(self, user: str) -> None:
        super().__init__(
            f"The role {WRITER} is missing and {user} may not make or take it. As a superuser: "
            f'CREATE ROLE {WRITER} NOLOGIN; GRANT {WRITER} TO "{user}"; then migrate again.'
        )


def protect(connection: psycopg.Connection[Any]) -> None:
    """Make the role, its rights and the triggers, as far as they are not there.

    The connection must be in autocommit and its user own the tables.
    """
    _ensure_role(connection)
    with connection.transaction():
        partitions.lock(connection)
        connection.execute(_FUNCTION)
        for table, is_log, present in _triggers(connection):
            if "no_change" not in present:
                if is_log:
                    # Partitions get theirs from their table; one that was disabled stays so.
                    _execute(connection, _ROW_TRIGGER, table)
                _execute(connection, "ALTER TABLE {table} ENABLE TRIGGER no_change", table)
            if "no_truncation" not in present:
                _execute(connection, _TRUNCATE_TRIGGER, table)
        _grant(connection)


def guard_partition(connection: psycopg.Connection[Any], table: str, name: str) -> None:
    """Guard a new partition of a log, in the transaction that makes it."""
    row = connection.execute("SELECT to_regproc('refuse_change')").fetchone()
    if table in LOGS and row is not None and row[0] is not None:
        _execute(connection, _TRUNCATE_TRIGGER, name)


def weaknesses(connection: psycopg.Connection[Any]) -> list[str]:
    """Return what is not as `protect` leaves it; nothing when the logs are safe."""
    row = connection.execute("SELECT to_regrole(%s) IS NOT NULL", (WRITER,)).fetchone()
    if row is None or not row[0]:
        return [f"the role {WRITER} is missing"]
    row = connection.execute("SELECT pg_has_role(%s, 'MEMBER')", (WRITER,)).fetchone()
    found = [] if row and row[0] else [f"this user is no member of {WRITER}"]
    excess = connection.execute(_SELECT_EXCESS, (list(LOGS), WRITER)).fetchall()
    found += [f"{WRITER} has {privilege}" for (privilege,) in excess]
    for table, _, present in _triggers(connection):
        missing = {"no_change", "no_truncation"} - set(present)
        found += [f"{table} has no trigger {name}" for name in sorted(missing)]
    return found


def _triggers(connection: psycopg.Connection[Any]) -> list[tuple[str, bool, list[str]]]:
    return connection.execute(_SELECT_TRIGGERS, {"logs": list(LOGS)}).fetchall()


def _ensure_role(connection: psycopg.Connection[Any]) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            with connection.transaction():
                _make_role(connection)
        except errors.InsufficientPrivilege as refused:
            raise RoleMissing(connection.info.user) from refused
        except (errors.DuplicateObject, errors.UniqueViolation, errors.InternalError_):
            # Made by another one meanwhile: look again.
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _make_role(connection: psycopg.Connection[Any]) -> None:
    writer = Identifier(WRITER)
    row = connection.execute("SELECT to_regrole(%s) IS NULL", (WRITER,)).fetchone()
    if row is not None and row[0]:
        connection.execute(SQL("CREATE ROLE {} NOLOGIN").format(writer))
    row = connection.execute("SELECT pg_has_role(%s, 'MEMBER')", (WRITER,)).fetchone()
    if row is None or not row[0]:
        connection.execute(SQL("GRANT {} TO CURRENT_USER").format(writer))


def _grant(connection: psycopg.Connection[Any]) -> None:
    writer = Identifier(WRITER)
    for statement in _GRANTS:
        connection.execute(SQL(statement).format(writer=writer))
    for table, is_log, _ in _triggers(connection):
        # A partition is reached through its log, and by itself by nobody.
        taken: LiteralString = "UPDATE, DELETE, TRUNCATE" if is_log else "ALL"
        connection.execute(
            SQL("REVOKE {taken} ON {table} FROM {writer}").format(
                taken=SQL(taken), table=Identifier(table), writer=writer
            )
        )


def _execute(connection: psycopg.Connection[Any], statement: LiteralString, table: str) -> None:
    connection.execute(SQL(statement).format(table=Identifier(table)))
