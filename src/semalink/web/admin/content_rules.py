"""Content rules: those of the platform's file, those that operators manage, what they found."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.content_reading import ManagedRule, MatchView
from semalink.application.content_rules import RemoveContentRule, SetContentRule
from semalink.domain.blocklist import (
    LITERAL_LENGTH_MAX,
    REASON_LENGTH_MAX,
    RULE_NAME_PATTERN,
    BlocklistRule,
    fault_of_literal,
)
from semalink.domain.content_errors import ContentRuleNotFound
from semalink.domain.content_rule import LITERALS_MAX, rule_of
from semalink.web import examples
from semalink.web.admin.roles import ANYONE, OPERATIONS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import PlaceCursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import Cursor, PageSize, Reason
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.sender_id_shapes import invalid_field

TAG = "Content rules"
_NAME = re.compile(RULE_NAME_PATTERN)
_NAME_LENGTH_MAX = 60
_A_DAY = timedelta(hours=24)
_Mode = Literal["block", "shadow"]
_Literals = Annotated[
    list[
        Annotated[
            str,
            msgspec.Meta(
                min_length=1,
                max_length=LITERAL_LENGTH_MAX,
                # Not only white space, and nothing that PostgreSQL cannot store.
                pattern=r"^[^\u0000]*[^\s\u0000][^\u0000]*$",
            ),
        ]
    ],
    msgspec.Meta(max_length=LITERALS_MAX),
]


class NewContentRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may not stand in a text, and what is done about it."""

    mode: _Mode
    reason: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=REASON_LENGTH_MAX,
            pattern=r"^[^\u0000-\u001f\u007f]+$",
            description="A sentence that tells a customer why; it is in every answer.",
        ),
    ]
    note: Annotated[Reason, msgspec.Meta(description="Why it is changed, for auditors.")]
    phrases: Annotated[_Literals, msgspec.Meta(description="Found anywhere.")] = []
    words: Annotated[
        _Literals, msgspec.Meta(description="Found where no letter or digit goes on.")
    ] = []


class Removal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a rule is removed."""

    note: Reason


class ContentRuleView(msgspec.Struct, frozen=True):
    """A content rule, and how often it found something in the last 24 hours."""

    name: str
    mode: str
    #: "operators", or "file" for a rule of the platform's file.
    origin: str
    phrases: list[str]
    words: list[str]
    reason: str
    blocked_last_day: int
    shadowed_last_day: int
    changed_by: str | None
    changed_at: datetime | None


class ContentRules(msgspec.Struct, frozen=True):
    """Every rule that holds, by name."""

    items: list[ContentRuleView]
    next_cursor: str | None = None


class Matches(msgspec.Struct, frozen=True):
    """What a rule found, newest first."""

    items: list[MatchView]
    next_cursor: str | None


class RuleQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rules are listed."""

    mode: _Mode | None = None
    origin: Literal["file", "operators"] | None = None


class MatchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of what a rule found."""

    mode: _Mode | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


_rule_decoder = msgspec.json.Decoder(NewContentRule)
_removal_decoder = msgspec.json.Decoder(Removal)
_PATH = "/admin/v1/content-rules"
_ONE = f"{_PATH}/{{name:str}}"
_OF_RULE = {"name": "loan_scams"}
_RULE = {
    "mode": "shadow",
    "reason": "Offers of loans against a fee are not sent.",
    "note": "Complaints of last week; watched for two days first.",
    "phrases": ["loan approved pay fee"],
    "words": [],
}
_VIEW = {
    "name": "loan_scams",
    "mode": "shadow",
    "origin": "operators",
    "phrases": ["loan approved pay fee"],
    "words": [],
    "reason": "Offers of loans against a fee are not sent.",
    "blocked_last_day": 0,
    "shadowed_last_day": 3,
    "changed_by": f"operator:{examples.API_KEY_ID}",
    "changed_at": "2026-11-02T08:15:04Z",
}

LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listContentRules",
    tag=TAG,
    summary="List content rules",
    description=(
        "Every rule that holds: those of the platform's file, and those that operators manage, "
        "which take the place of one of the same name in the file."
    ),
    scopes=ANYONE,
    query=RuleQuery,
    query_notes={"mode": "Only rules in this mode.", "origin": "Only rules from there."},
    success=Success(200, "The rules.", ContentRules, {"items": [_VIEW], "next_cursor": None}),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getContentRule",
    tag=TAG,
    summary="Read a content rule",
    description="The rule; its earlier forms are in its history, under content_rule.",
    scopes=ANYONE,
    path_examples=_OF_RULE,
    success=Success(200, "The rule.", ContentRuleView, _VIEW),
    problems=("content_rule_not_found",),
)
SET = Operation(
    method="PUT",
    path=_ONE,
    operation_id="setContentRule",
    tag=TAG,
    summary="Make or change a content rule",
    description=(
        "Holds within a few seconds in every process. Case, blanks and look-alike letters do not "
        "matter, and a phrase or word has 1 to 100 characters as it is compared. In the mode "
        "`shadow` it blocks nothing and notes what it would have blocked: "
        "begin so, look at its matches, then change the mode to `block`."
    ),
    scopes=OPERATIONS,
    path_examples=_OF_RULE,
    body=NewContentRule,
    body_examples={"in shadow mode": _RULE},
    success=Success(200, "The rule holds.", ContentRuleView, _VIEW),
    problems=("too_many_content_rules",),
)
REMOVE = Operation(
    method="POST",
    path=f"{_ONE}/remove",
    operation_id="removeContentRule",
    tag=TAG,
    summary="Remove a content rule",
    description="Holds the rule no more; one of the file of the same name holds again.",
    scopes=OPERATIONS,
    path_examples=_OF_RULE,
    body=Removal,
    body_examples={"no longer needed": {"note": "Covered by another rule."}},
    success=Success(204, "The rule holds no more."),
    problems=("content_rule_not_found",),
)
MATCHES = Operation(
    method="GET",
    path=f"{_ONE}/matches",
    operation_id="listContentRuleMatches",
    tag=TAG,
    summary="List what a rule found",
    description=(
        "Messages that it would have blocked, in shadow mode, and refusals where it blocked; "
        "never a text. Kept for 90 days."
    ),
    scopes=ANYONE,
    path_examples=_OF_RULE,
    query=MatchQuery,
    query_notes={
        "mode": "Only what it found in this mode.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Matches a page.",
    },
    success=Success(
        200,
        "A page of matches.",
        Matches,
        {
            "items": [
                {
                    "rule": "loan_scams",
                    "mode": "shadow",
                    "account_id": examples.ACCOUNT_ID,
                    "message_id": examples.MESSAGE_ID,
                    "refusal_id": None,
                    "at": "2026-11-02T08:15:04Z",
                }
            ],
            "next_cursor": None,
        },
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)


class RuleDesk:
    """Shows and changes content rules."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._ledger = deps.ledger
        self._reads = deps.content_rules
        self._of_file = deps.rules_of_file
        self._cursors = PlaceCursors(deps.key_pepper)

    async def list_all(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with every rule."""
        query = read_query(request, RuleQuery)
        items = [
            view
            for view in await self._views(request)
            if query.mode in (None, view.mode) and query.origin in (None, view.origin)
        ]
        return Reply(200, msgspec.json.encode(ContentRules(items)))

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one rule."""
        return await self._shown(request)

    async def set(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Make a rule, or change it."""
        asked = await read_json(request, _rule_decoder)
        name = request.path_params["name"]
        if not _NAME.fullmatch(name) or len(name) > _NAME_LENGTH_MAX:
            raise invalid_field("name", "Name the rule in lower snake case, as loan_scams.")
        if not asked.phrases and not asked.words:
            raise invalid_field("phrases", "A rule lists phrases, words or both.")
        _check_literals("phrases", asked.phrases)
        _check_literals("words", asked.words)
        rule = rule_of(name, asked.mode, asked.phrases, asked.words, asked.reason)
        rule_count = len(await self._reads.managed_rules())
        cause = arrival_of(request.scope).cause
        await self._ledger.execute(SetContentRule(rule, asked.note, cause, rule_count))
        return await self._shown(request)

    async def remove(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Hold a rule no more."""
        asked = await read_json(request, _removal_decoder)
        cause = arrival_of(request.scope).cause
        await self._ledger.execute(
            RemoveContentRule(request.path_params["name"], asked.note, cause)
        )
        return Reply(204)

    async def matches(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of what a rule found."""
        query = read_query(request, MatchQuery)
        name = request.path_params["name"]
        filters = f"{_ONE}:{name}:{query.mode}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._reads.matches(name, query.mode, before=before, limit=query.limit + 1)
        page = found[: query.limit]
        items = [view for _, view in page]
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Matches(items, None)))
        cursor = self._cursors.write(page[-1][0], filters)
        path = MATCHES.documented_path.replace("{name}", name)
        return Reply(
            200, msgspec.json.encode(Matches(items, cursor)), [next_link(path, query, cursor)]
        )

    async def _shown(self, request: Request[Any, Any, Any]) -> Reply:
        name = request.path_params["name"]
        for view in await self._views(request):
            if view.name == name:
                return Reply(200, msgspec.json.encode(view))
        raise ContentRuleNotFound

    async def _views(self, request: Request[Any, Any, Any]) -> list[ContentRuleView]:
        since = arrival_of(request.scope).at - _A_DAY
        counts = await self._reads.match_counts(since)
        named = {rule.name: _of_file(rule, counts) for rule in self._of_file}
        for record in await self._reads.rule_records():
            named[record.name] = _managed(record, counts)
        return sorted(named.values(), key=lambda view: view.name)


def _check_literals(field: str, literals: list[str]) -> None:
    for index, literal in enumerate(literals):
        if (fault := fault_of_literal(literal)) is not None:
            raise invalid_field(f"{field}/{index}", f"Leave out a text that {fault}.")


def _of_file(rule: BlocklistRule, counts: Mapping[tuple[str, str], int]) -> ContentRuleView:
    return ContentRuleView(
        rule.name,
        str(rule.mode),
        "file",
        list(rule.phrases),
        list(rule.words),
        rule.reason,
        *_counts(rule.name, counts),
        None,
        None,
    )


def _managed(record: ManagedRule, counts: Mapping[tuple[str, str], int]) -> ContentRuleView:
    return ContentRuleView(
        record.name,
        record.mode,
        "operators",
        record.phrases,
        record.words,
        record.reason,
        *_counts(record.name, counts),
        record.changed_by,
        record.changed_at,
    )


def _counts(name: str, counts: Mapping[tuple[str, str], int]) -> tuple[int, int]:
    return counts.get((name, "block"), 0), counts.get((name, "shadow"), 0)


def content_rule_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of content rules."""
    desk = RuleDesk(deps)
    return [
        route(LIST, desk.list_all),
        route(READ_ONE, desk.read),
        route(SET, desk.set),
        route(REMOVE, desk.remove),
        route(MATCHES, desk.matches),
    ]
