"""The page of the errors."""

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules

import semalink.domain
from semalink.domain.errors import DomainError
from semalink.web.edge_problem_types import EDGE_PROBLEMS
from semalink.web.problem_type import ProblemType
from semalink.web.problem_types import PROBLEM_TYPES

#: Those of a part of the platform before those of all; the classes in each by precedence.
_MODULES = [
    import_module(f"semalink.domain.{name}")
    for name in sorted(
        (one.name for one in iter_modules(semalink.domain.__path__)), key="errors".__eq__
    )
    if name.endswith("errors")
]

_HEAD = (
    "# Errors",
    "",
    (
        "This page is written by `make docs` from `semalink/domain/*errors.py` and "
        "`semalink/web/problem_types.py`; change it there."
    ),
    "",
    (
        "Every answer of 400 or above is a problem of RFC 9457, `application/problem+json`, whose "
        "`type` is `/problems/` and the code."
    ),
    (
        "The very same request may succeed later where the last column says so; the member "
        "`retryable` says it as well."
    ),
    "",
    "## Refusals",
    "",
    (
        "What the platform refuses for good reason, in order of precedence: when several apply, "
        "the first one is the answer."
    ),
    "A refusal under an `Idempotency-Key` is stored, and given again to the same request.",
)
_EDGE = (
    "",
    "## Errors of the HTTP edge",
    "",
    "What ends a request before or in spite of a decision; nothing of it is stored.",
)
_TABLE = (
    "",
    "| Code | Status | Title | What to do | Retryable |",
    "| --- | --- | --- | --- | --- |",
)


def errors_page() -> str:
    """Return `docs/reference/errors.md`."""
    refusals = [PROBLEM_TYPES[kind.code] for kind in refusal_classes()]
    lines = [*_HEAD, *_TABLE, *_rows(refusals), *_EDGE, *_TABLE, *_rows(EDGE_PROBLEMS), ""]
    return "\n".join(lines)


def refusal_classes() -> list[type[DomainError]]:
    """Return every refusal that has a code, in the order of the classes."""
    return [
        kind
        for module in _MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, DomainError) and hasattr(kind, "code")
        if kind.__module__ == module.__name__
    ]


def _rows(problems: Iterable[ProblemType]) -> list[str]:
    return [
        f"| `{one.code}` | {one.status} | {one.title} | {one.remedy} "
        f"| {'yes' if one.retryable else 'no'} |"
        for one in problems
    ]
