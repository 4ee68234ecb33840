"""The page of the command line."""

from collections.abc import Iterator

import rich_click as click

from semalink_ops.cli import cli
from semalink_ops.cli.exit_codes import MEANINGS
from semalink_ops.cli.lazy import LazyGroup

_HEAD = (
    "# Command line",
    "",
    "This page is written by `make docs` from the commands themselves; change it there.",
    "",
    "What a command answers goes to stdout, and what it says about it to stderr.",
    (
        "On a terminal an answer is a table, through a pipe lines with tabs between, and with "
        "`--json` one JSON document."
    ),
    (
        "Secrets come from the environment or from files, never from the command line; "
        "a new key is shown once."
    ),
    "",
    "Commands take their settings from the variables `SEMALINK_…`.",
    (
        "When `SEMALINK_DATABASE_URL` is not set, they take those of the `semalink up` that keeps "
        "its data in `./var`, or in the folder that `--data-dir` names."
    ),
    "",
    "## Exit status",
    "",
    "| Status | Meaning |",
    "| --- | --- |",
)


def command_line_page() -> str:
    """Return `docs/reference/cli.md`."""
    rows = [f"| {status} | {meaning} |" for status, meaning in MEANINGS.items()]
    return "\n".join([*_HEAD, *rows, *_commands(cli, "semalink", None), ""])


def _commands(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    context = click.RichContext(command, info_name=path.rsplit(" ", 1)[-1], parent=parent)
    if parent is not None:
        yield from _section(command, path, context)
    if isinstance(command, click.Group):
        found = command.load_commands() if isinstance(command, LazyGroup) else command.commands
        for name, child in found.items():
            yield from _commands(child, f"{path} {name}", context)


def _section(command: click.Command, path: str, context: click.Context) -> Iterator[str]:
    yield ""
    yield f"## {path}"
    for paragraph in (command.help or "").split("\n\n"):
        yield ""
        yield " ".join(paragraph.split())
    if isinstance(command, click.Group):
        return
    yield ""
    yield "```sh"
    yield f"{path} {' '.join(command.collect_usage_pieces(context))}"
    yield "```"
    rows = [_row(option) for option in command.params if isinstance(option, click.Option)]
    yield from ("", "| Option | Default | Meaning |", "| --- | --- | --- |", *rows)
    if command.epilog:
        yield ""
        yield _as_code(command.epilog)


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    kind = option.type
    values = f" One of {', '.join(kind.choices)}." if isinstance(kind, click.Choice) else ""
    described = option.to_info_dict()
    default = "required" if option.required else ""
    if not option.is_flag and described["default"] is not None:
        default = f"`{described['default']}`"
    return f"| {names} | {default} | {option.help or ''}{values} |"


def _as_code(example: str) -> str:
    """Return "Example: semalink …" with the command as code."""
    word, colon, line = example.partition(": ")
    return f"{word}{colon}`{line}`"
