"""A worker of contacts as a process of its own, which a test may kill wherever it is."""

import asyncio
import sys

from uuid_utils.compat import uuid7

from semalink_adapters.postgres.contact_imports import PostgresContactImports
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.tasks import PostgresTasks
from semalink_ops.contact_importing import ContactImporter


async def main(database_url: str) -> None:
    """Do every task that there is, until none is left."""
    async with open_pool(database_url, size=2) as pool, GroupCommit(database_url) as ledger:
        tasks = PostgresTasks(pool)
        importer = ContactImporter(PostgresContactImports(pool), ledger, uuid7, lambda: None)
        while True:
            async with pool.connection() as connection:
                cursor = await connection.execute("SELECT task_id FROM tasks LIMIT 1")
                row = await cursor.fetchone()
            if row is None:
                return
            task = await tasks.find(row[0])
            if task is not None:
                await importer.kinds[task.kind](task)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
