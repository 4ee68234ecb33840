"""The reference pages, written from the code that they describe."""

from collections.abc import Mapping
from pathlib import Path

from semalink_ops.observability.declarations import reference_page
from semalink_ops.reference.command_line import command_line_page
from semalink_ops.reference.errors import errors_page
from semalink_ops.reference.http import openapi_documents


def pages() -> Mapping[str, str]:
    """Return every page by the name of its file."""
    return {
        "cli.md": command_line_page(),
        "errors.md": errors_page(),
        "metrics.md": reference_page(),
        **openapi_documents(),
    }


def write_pages(folder: Path) -> None:
    """Write every page into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
