"""Query strings: read into a struct, with every fault named."""

from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar import Request

from semalink.web.field_check import escape, find_problems
from semalink.web.problems import EdgeRefusal, FieldProblem

T = TypeVar("T", bound=msgspec.Struct)

_PARAMETERS_MAX = 50


def read_query(request: Request[Any, Any, Any], wanted: type[T]) -> T:
    """Return the query as the wanted struct; raises EdgeRefusal for all parameters at fault."""
    pairs = _pairs(request.scope["query_string"])
    given = dict(pairs)
    problems = [
        FieldProblem(f"/{escape(name)}", "repeated", "The parameter is given more than once.")
        for name in given
        if sum(other == name for other, _ in pairs) > 1
    ]
    problems += find_problems(given, wanted, strict=False)
    if problems:
        raise _refused(problems)
    query = msgspec.convert(given, wanted, strict=False)
    # The decoder takes the word for no value at all, and the filter would not hold.
    problems = [
        FieldProblem(f"/{escape(field.encode_name)}", "invalid_value", "Leave it out instead.")
        for field in msgspec.structs.fields(wanted)
        if field.encode_name in given and getattr(query, field.name) is None
    ]
    if problems:
        raise _refused(problems)
    return query


def _refused(problems: list[FieldProblem]) -> EdgeRefusal:
    return EdgeRefusal(
        "validation_failed",
        f"{len(problems)} of the query parameters are not valid.",
        errors=problems,
    )


def next_link(path: str, query: msgspec.Struct, cursor: str) -> tuple[bytes, bytes]:
    """Return the Link header to the next page (RFC 8288)."""
    given = {
        name: value
        for name, value in msgspec.to_builtins(query).items()
        if value is not None and name != "cursor"
    }
    target = f"{path}?{urlencode({**given, 'cursor': cursor})}"
    return b"link", f'<{target}>; rel="next"'.encode()


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=_PARAMETERS_MAX
        )
    except ValueError:
        raise EdgeRefusal("bad_request", "The query has too many parameters.") from None
    return pairs
