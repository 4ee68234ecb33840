"""The domain decides from what it is given: no clock, no chance, no environment, no I/O."""

import ast
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

DOMAIN = "src/semalink/domain/"

#: Beside the standard library. phonenumbers is tables and arithmetic: it reads nothing.
ALLOWED_PACKAGES = ("eventsourcing.domain", "phonenumbers", "semalink.domain")

#: Parts of the standard library that reach for the clock, for chance or for the machine.
BANNED_MODULES = frozenset(
    {
        "asyncio",
        "builtins",
        "concurrent",
        "ctypes",
        "http",
        "importlib",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "pickle",
        "random",
        "secrets",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
    }
)

#: By the last part of the name, so that `datetime.now` and `clock.now` are refused alike.
BANNED_CALLS = frozenset(
    {
        "eval",
        "exec",
        "float",
        "getenv",
        "input",
        "now",
        "open",
        "print",
        "time",
        "today",
        "utcnow",
        "uuid1",
        "uuid4",
    }
)


def is_allowed(module: str) -> bool:
    if module.partition(".")[0] in sys.stdlib_module_names:
        return module.partition(".")[0] not in BANNED_MODULES
    return any(
        module == package or module.startswith(f"{package}.") for package in ALLOWED_PACKAGES
    )


def imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}"]
    return []


def called_name(node: ast.AST) -> str | None:
    match node:
        # `CreditAccount.open(...)` is a command; only the built-in `open` reads a file.
        case ast.Call(func=ast.Name(id=name)):
            return name
        case ast.Call(func=ast.Attribute(attr=name)) if name != "open":
            return name
        case _:
            return None


def impurities(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for module in imported_modules(node):
            if not is_allowed(module):
                yield f"line {getattr(node, 'lineno', 0)}: imports {module}"
        if (name := called_name(node)) in BANNED_CALLS:
            yield f"line {getattr(node, 'lineno', 0)}: calls {name}()"


def test_domain_is_pure(sources: Sequence[Any]) -> None:
    domain = [source for source in sources if source.path.startswith(DOMAIN)]

    found = [f"{source.path}, {what}" for source in domain for what in impurities(source.tree)]

    assert domain
    assert found == [], "the domain is given its time, its ids and its settings"


@pytest.mark.parametrize(
    "code",
    [
        "import sqlalchemy",
        "import semalink.application.ports",
        "from eventsourcing.postgres import PostgresDatastore",
        "from eventsourcing import domain",
        "from . import errors",
        "import os.path",
        "import random",
        "from time import monotonic",
        "def decide():\n    from msgspec import json",
        "at = datetime.now(UTC)",
        "at = date.today()",
        "message_id = uuid4()",
        "message_id = uuid.uuid1()",
        "price = float(text)",
        "text = open(path).read()",
    ],
)
def test_impurity_is_found(code: str) -> None:
    assert len(list(impurities(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "from datetime import UTC, datetime",
        "from eventsourcing.domain import Aggregate, event",
        "from semalink.domain.ids import MessageId",
        "import phonenumbers",
        "from phonenumbers import carrier",
        "account = CreditAccount.open(account_id, cause)",
        "due = datetime.fromisoformat(text)",
    ],
)
def test_purity_is_recognised(code: str) -> None:
    assert list(impurities(ast.parse(code))) == []
