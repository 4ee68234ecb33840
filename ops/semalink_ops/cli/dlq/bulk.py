"""A bulk action, followed to its end; an interruption cancels it."""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

import rich_click as click
from rich.console import Console
from rich.progress import Progress
from uuid_utils.compat import uuid7

from semalink.application.dead_letter_reading import JobView
from semalink.application.dead_letters import CancelDeadLetterJob, JobPlan, StartDeadLetterJob
from semalink.domain.errors import DeadLetterJobEnded
from semalink_adapters.postgres.dead_letters import PostgresDeadLetters
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import end_with
from semalink_ops.cli.output import say, show_json

_LOOK_SECONDS = 0.3
#: A relay begins within a second; when nothing moves for so long, there is none.
_IDLE_SECONDS = 15.0


def run_job(plan: JobPlan, data_dir: Path, *, as_json: bool) -> None:
    """Start a bulk action, show how it goes on, and print what it came to."""
    job = run_on_database(data_dir, lambda database: _run(database, plan))
    if as_json:
        show_json(job)
    else:
        done = "republished" if plan.action == "republish" else "discarded"
        say(f"{job.done_count} of {job.total_count} dead letters were {done}; {job.id} is over.")
    if job.state == "cancelled":
        end_with(exit_codes.INTERRUPTED)


async def _run(database: Database, plan: JobPlan) -> JobView:
    job_id = uuid7()
    await database.ledger.execute(StartDeadLetterJob(job_id, plan, database.cause()))
    try:
        return await _follow(database, job_id)
    except asyncio.CancelledError:
        # Ctrl-C: what was done stays done, and the rest is left as it is.
        return await _cancel(database, job_id)


async def _follow(database: Database, job_id: UUID) -> JobView:
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("dead letters", total=None)
        idle_seconds, done_count = 0.0, 0
        while (job := await _look(database, job_id)).state == "running":
            bar.update(task, completed=job.done_count, total=job.total_count or None)
            idle_seconds = 0.0 if job.done_count > done_count else idle_seconds + _LOOK_SECONDS
            done_count = job.done_count
            if idle_seconds >= _IDLE_SECONDS:
                idle_seconds = 0.0
                say(f"{job.id} does not move: is `semalink relay` running? Ctrl-C cancels it.")
            await asyncio.sleep(_LOOK_SECONDS)
    return job


async def _cancel(database: Database, job_id: UUID) -> JobView:
    try:
        await database.ledger.execute(CancelDeadLetterJob(job_id, database.cause()))
    except DeadLetterJobEnded:
        click.echo("It had ended already.", err=True)
    return await _look(database, job_id)


async def _look(database: Database, job_id: UUID) -> JobView:
    job = await PostgresDeadLetters(database.pool).job(job_id)
    assert job is not None, "a bulk action that was started can be read"
    return job
