"""The command `archive`: years of events, out of the database and still answered for."""

import rich_click as click

from semalink_ops.cli.lazy import LazyGroup, Place

_COMMANDS: dict[str, Place] = {
    "run": Place(
        "semalink_ops.cli.archive.running",
        "run_archive",
        "Move months of events that are old enough into the archive.",
    ),
    "list": Place(
        "semalink_ops.cli.archive.listing",
        "list_archive",
        "List the months that are or were in the archive.",
    ),
    "verify": Place(
        "semalink_ops.cli.archive.checking",
        "verify_archive",
        "Read archived months again and compare them with their manifests.",
    ),
    "restore": Place(
        "semalink_ops.cli.archive.restoring",
        "restore_month",
        "Bring an archived month back into the database.",
    ),
}


@click.group("archive", cls=LazyGroup, places=_COMMANDS)
def archive() -> None:
    """Move old months of events into object storage, and back.

    What is archived is still shown by `history` and by the API under its id.
    """
