"""The commands that work in the background: the workers, relay, projector."""

from importlib import import_module
from pathlib import Path

import rich_click as click

from semalink_ops.cli.settings_source import data_dir_option, read_settings


@click.group("worker")
def worker() -> None:
    """Run a worker: sms, dlr, webhooks, contacts or content.

    Any number of each may run. Health and metrics are on SEMALINK_METRICS_PORT.
    """


@worker.command("sms", epilog="Example: SEMALINK_METRICS_PORT=9465 semalink worker sms")
@data_dir_option
def sms(*, data_dir: Path) -> None:
    """Hand messages to aggregators."""
    _run("worker-sms", "run_sms_worker", data_dir, "semalink_ops.sms_worker")


@worker.command("dlr", epilog="Example: SEMALINK_METRICS_PORT=9466 semalink worker dlr")
@data_dir_option
def dlr(*, data_dir: Path) -> None:
    """Apply delivery reports to messages."""
    _run("worker-dlr", "run_dlr_worker", data_dir)


@worker.command("webhooks", epilog="Example: SEMALINK_METRICS_PORT=9469 semalink worker webhooks")
@data_dir_option
def webhooks(*, data_dir: Path) -> None:
    """Send events to customers' endpoints."""
    _run("worker-webhooks", "run_webhook_worker", data_dir, "semalink_ops.webhook_worker")


@worker.command("contacts", epilog="Example: SEMALINK_METRICS_PORT=9470 semalink worker contacts")
@data_dir_option
def contacts(*, data_dir: Path) -> None:
    """Check the contacts of imports and add them to their lists."""
    _run("worker-contacts", "run_contacts_worker", data_dir, "semalink_ops.task_worker")


@worker.command("content", epilog="Example: SEMALINK_METRICS_PORT=9471 semalink worker content")
@data_dir_option
def content(*, data_dir: Path) -> None:
    """Check the contents of campaigns."""
    _run("worker-content", "run_content_worker", data_dir, "semalink_ops.task_worker")


@worker.command(
    "background", epilog="Example: SEMALINK_METRICS_PORT=9470 semalink worker background"
)
@data_dir_option
def background(*, data_dir: Path) -> None:
    """Do what worker contacts and worker content do, in one process."""
    _run("worker-background", "run_background_worker", data_dir, "semalink_ops.task_worker")


@click.command("relay", epilog="Example: SEMALINK_METRICS_PORT=9467 semalink relay")
@data_dir_option
def relay(*, data_dir: Path) -> None:
    """Carry work from the event log to the broker.

    One relay works at a time; a second one stands by and takes over.
    """
    _run("relay", "run_relay", data_dir)


@click.command("projector", epilog="Example: SEMALINK_METRICS_PORT=9468 semalink projector")
@data_dir_option
def projector(*, data_dir: Path) -> None:
    """Keep the read models up to date."""
    _run("projector", "run_projector", data_dir, "semalink_ops.projecting")


@click.command("scheduler", epilog="Example: SEMALINK_METRICS_PORT=9472 semalink scheduler")
@data_dir_option
def scheduler(*, data_dir: Path) -> None:
    """Start campaigns that are due, and bring them to their end.

    Any number may run: a campaign is started once, and one of them deals out at a time.
    """
    _run("scheduler", "run_scheduler", data_dir, "semalink_ops.scheduling")


def _run(process: str, body: str, data_dir: Path, module: str = "semalink_ops.workers") -> None:
    settings = read_settings(data_dir)
    # Imported by name, so that what the commands share can be listed without waiting for it.
    bodies = import_module(module)
    import_module("semalink_ops.worker_process").run(process, settings, getattr(bodies, body))
