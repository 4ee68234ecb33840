"""Groups whose commands are imported when one of them is asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import rich_click as click


class Place(NamedTuple):
    """Where a command is, and the sentence that a list of commands shows of it."""

    module: str
    attribute: str
    sentence: str


class _Deferred(click.RichCommand):
    """Stands for a command in lists, and becomes it when it is called."""

    def __init__(self, name: str, place: Place) -> None:
        super().__init__(name=name, short_help=place.sentence)
        self._place = place

    def load(self) -> click.Command:
        """Import the command."""
        command = getattr(import_module(self._place.module), self._place.attribute)
        assert isinstance(command, click.Command), "the table of commands names commands"
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.RichContext:
        """Go on as the command itself."""
        context = self.load().make_context(info_name, args, parent, **extra)
        assert isinstance(context, click.RichContext), "every command of ours is a rich one"
        return context


class LazyGroup(click.RichGroup):
    """A group that shows its commands without importing them."""

    def __init__(self, *args: Any, places: Mapping[str, Place], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table, which is that of a first visit."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return what stands for the command."""
        place = self._places.get(cmd_name)
        return None if place is None else _Deferred(cmd_name, place)

    def load_commands(self) -> dict[str, click.Command]:
        """Import every command, in the order of the table."""
        return {name: _Deferred(name, place).load() for name, place in self._places.items()}
