"""What every rule about the tree looks at."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE_FOLDERS = ("src", "adapters", "ops", "bench", "tests")


@dataclass(frozen=True)
class Source:
    """One Python file, read and parsed."""

    #: From the root of the repository, with slashes.
    path: str
    text: str
    tree: ast.Module


def read_sources() -> Iterator[Source]:
    """Yield every Python file of ours, in order."""
    for folder in CODE_FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            text = path.read_text()
            yield Source(name, text, ast.parse(text, filename=name))


@pytest.fixture(scope="session")
def root() -> Path:
    """Where the repository lies."""
    return ROOT


@pytest.fixture(scope="session")
def sources() -> Sequence[Source]:
    """Every Python file of ours."""
    found = tuple(read_sources())
    assert found, "there is code to look at"
    return found
