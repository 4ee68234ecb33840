"""Only a loop that must outlive any one piece of work may catch whatever it throws."""

import ast
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

#: Where a bug ends one unit of work and not the process: the consumer loop, the writer thread of
#: the group commit (ADR-0021), and the CLI's main.
ALLOWED_FILES = frozenset(
    {
        "adapters/semalink_adapters/jetstream/consumer.py",
        "adapters/semalink_adapters/postgres/group_commit.py",
        "ops/semalink_ops/cli/__init__.py",
    }
)

BROAD_NAMES = frozenset({"BaseException", "BaseExceptionGroup", "Exception", "ExceptionGroup"})


def is_broad(caught: ast.expr | None) -> bool:
    match caught:
        case None:
            return True
        case ast.Tuple(elts=several):
            return any(is_broad(one) for one in several)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in BROAD_NAMES
        case _:
            return False


def only_cleans_up(body: Sequence[ast.stmt]) -> bool:
    """Tell whether whatever was caught goes on from here."""
    match body[-1]:
        case ast.Raise(exc=None):
            return True
        case _:
            return False


def broad_catches(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=caught, body=body, lineno=line) if is_broad(
                caught
            ) and not only_cleans_up(body):
                yield line
            case ast.Call(
                func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"),
                args=suppressed,
                lineno=line,
            ) if any(is_broad(one) for one in suppressed):
                yield line
            case _:
                pass


def test_broad_excepts_stay_in_their_two_places(sources: Sequence[Any]) -> None:
    found = [
        f"{source.path}:{line}"
        for source in sources
        if source.path not in ALLOWED_FILES
        for line in broad_catches(source.tree)
    ]

    assert found == [], "name what can happen here; a bug crashes the unit of work"


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    work()\nexcept:\n    pass",
        "try:\n    work()\nexcept Exception:\n    pass",
        "try:\n    work()\nexcept (OSError, BaseException) as error:\n    raise Lost from error",
        "try:\n    work()\nexcept* builtins.Exception:\n    pass",
        "with contextlib.suppress(Exception):\n    work()",
    ],
)
def test_broad_except_is_found(code: str) -> None:
    assert len(list(broad_catches(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    work()\nexcept OSError:\n    pass",
        "try:\n    work()\nexcept BaseException:\n    roll_back()\n    raise",
        "with suppress(ProcessLookupError):\n    work()",
    ],
)
def test_narrow_except_is_left_alone(code: str) -> None:
    assert list(broad_catches(ast.parse(code))) == []
