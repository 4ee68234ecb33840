import subprocess
import sys
from collections.abc import Iterator

import pytest
import rich_click as click

from semalink_ops.cli import cli
from semalink_ops.cli.lazy import LazyGroup

assert isinstance(cli, LazyGroup)
COMMANDS = cli.load_commands()

#: What takes a good part of a second to import, and `semalink --help` does not need.
HEAVY = ("aiohttp", "alembic", "litestar", "nats", "psycopg", "sqlalchemy", "structlog", "uvicorn")


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        children = command.load_commands() if isinstance(command, LazyGroup) else command.commands
        for name, child in children.items():
            yield from leaves(child, f"{path} {name}")
    else:
        yield path, command


LEAVES = dict(
    found for name, command in COMMANDS.items() for found in leaves(command, f"semalink {name}")
)


GROUPS = [cli, *(one for one in COMMANDS.values() if isinstance(one, LazyGroup))]


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group in GROUPS for name in group.load_commands()]
)
def test_list_of_commands_says_what_the_command_says_of_itself(group: LazyGroup, name: str) -> None:
    context = click.Context(group)

    listed = group.get_command(context, name)

    assert listed is not None
    first_sentence = (group.load_commands()[name].help or "").split("\n", 1)[0]
    assert listed.get_short_help_str(200) == first_sentence


@pytest.mark.parametrize("path", LEAVES)
def test_command_shows_an_example_of_itself(path: str) -> None:
    epilog = LEAVES[path].epilog

    assert epilog is not None
    assert epilog.startswith("Example: ")
    assert path in epilog


@pytest.mark.parametrize("path", LEAVES)
def test_command_explains_every_option(path: str) -> None:
    options = [one for one in LEAVES[path].params if isinstance(one, click.Option)]

    unexplained = [one.name for one in options if not one.help and not one.hidden]

    assert unexplained == []


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from semalink_ops.cli import run; status = run(['--help']); "
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), status)"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert shown.stdout.splitlines()[-1] == "[] 0"
