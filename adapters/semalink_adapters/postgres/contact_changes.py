"""What events of contact lists and imports do to the tables kept in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from semalink.application.contacts import piece_task
from semalink.domain.contact_import import ContactImport
from semalink.domain.contact_list import ContactList
from semalink_adapters.postgres.task_changes import Statement, add_task

INSERT_LIST = """
INSERT INTO contact_lists (list_id, account_id, name, created_by, created_at, changed_at)
VALUES (%s, %s, %s, %s, %s, %s)"""

INSERT_COUNT = "INSERT INTO contact_list_counts (list_id) VALUES (%s)"

RENAME_LIST = "UPDATE contact_lists SET name = %s, changed_at = %s WHERE list_id = %s"

DELETE_LIST = "UPDATE contact_lists SET state = 'deleted', changed_at = %s WHERE list_id = %s"

INSERT_IMPORT = """
INSERT INTO contact_imports (
    import_id, list_id, account_id, format, default_country, delimiter, columns, number_column,
    row_count, piece_count, byte_count, started_by, started_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""

INSERT_PROGRESS = "INSERT INTO contact_import_progress (import_id) VALUES (%s)"

END_IMPORT = """
UPDATE contact_imports SET state = %s, failure = %s, ended_at = %s WHERE import_id = %s"""


def _list_created(event: ContactList.Created) -> Sequence[Statement]:
    parameters = (
        event.originator_id,
        event.account_id,
        event.name,
        event.actor,
        event.timestamp,
        event.timestamp,
    )
    return [(INSERT_LIST, parameters), (INSERT_COUNT, (event.originator_id,))]


def _list_renamed(event: ContactList.Renamed) -> Sequence[Statement]:
    return [(RENAME_LIST, (event.name, event.timestamp, event.originator_id))]


def _list_deleted(event: ContactList.Deleted) -> Sequence[Statement]:
    return [(DELETE_LIST, (event.timestamp, event.originator_id))]


def _import_started(event: ContactImport.Created) -> Sequence[Statement]:
    source = event.source
    parameters = (
        event.originator_id,
        source.list_id,
        event.account_id,
        source.format,
        source.default_country,
        source.delimiter,
        list(source.columns),
        source.number_column,
        source.row_count,
        source.piece_count,
        source.byte_count,
        event.actor,
        event.timestamp,
    )
    first = piece_task(event.task_id, event.account_id, event.originator_id, 0)
    return [
        (INSERT_IMPORT, parameters),
        (INSERT_PROGRESS, (event.originator_id,)),
        add_task(first),
    ]


def _import_finished(event: ContactImport.Finished) -> Sequence[Statement]:
    return [(END_IMPORT, ("finished", None, event.timestamp, event.originator_id))]


def _import_failed(event: ContactImport.Failed) -> Sequence[Statement]:
    return [(END_IMPORT, ("failed", event.reason, event.timestamp, event.originator_id))]


def _import_cancelled(event: ContactImport.Cancelled) -> Sequence[Statement]:
    return [(END_IMPORT, ("cancelled", None, event.timestamp, event.originator_id))]


#: The statements of each kind of event, in order.
CONTACT_CHANGES: Mapping[type, Callable[[Any], Sequence[Statement]]] = {
    ContactList.Created: _list_created,
    ContactList.Renamed: _list_renamed,
    ContactList.Deleted: _list_deleted,
    ContactImport.Created: _import_started,
    ContactImport.Finished: _import_finished,
    ContactImport.Failed: _import_failed,
    ContactImport.Cancelled: _import_cancelled,
}
