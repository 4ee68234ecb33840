"""Migrations: harmless when repeated, by one or by several."""

from concurrent.futures import ThreadPoolExecutor

import psycopg

from semalink_adapters.postgres.migrate import current_and_head, upgrade


def _tables(database_url: str) -> list[tuple[str]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace ="
            " 'public'::regnamespace ORDER BY relname"
        ).fetchall()


def test_upgrade_changes_nothing_when_it_is_repeated(empty_database_url: str) -> None:
    before = current_and_head(empty_database_url)
    upgrade(empty_database_url)
    once = _tables(empty_database_url)

    upgrade(empty_database_url)

    current, head = current_and_head(empty_database_url)
    assert before == (None, head)
    assert current == head is not None
    assert _tables(empty_database_url) == once != []


def test_upgrade_is_harmless_when_several_run_it_at_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(upgrade, [empty_database_url] * 3))

    current, head = current_and_head(empty_database_url)
    assert current == head
    assert ("ledger_entries",) in _tables(empty_database_url)
