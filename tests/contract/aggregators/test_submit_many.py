"""Bulk calls: who travels together, whose answer is whose, and what one bad member spoils."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest
from aiohttp import web

from semalink.application.ports import (
    Aggregator,
    FailureClass,
    OutcomeUnknown,
    Receipt,
    SendFailed,
    Submission,
)
from semalink.domain.ids import MessageId

#: A call for each element: what came in, and what goes out.
Rows = list[dict[str, Any]]


def submission(number: int, *, sender: str = "SEMALINK", text: str = "Habari") -> Submission:
    return Submission(MessageId(UUID(int=number)), f"+2547120000{number:02}", text, sender)


def submissions(count: int) -> list[Submission]:
    return [submission(number) for number in range(1, count + 1)]


def smslist(request: Any) -> Rows:
    rows: Rows = msgspec.json.decode(request.body)["smslist"]
    return rows


def celcom_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "response-code": 200,
        "response-description": "Success",
        "mobile": int(row["mobile"]),
        "messageid": int(row["mobile"][-2:]) + 1000,
        "clientsmsid": row["clientsmsid"],
        "networkid": 1,
    }


def reply(rows: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(rows))


def celcom_answering(change: Callable[[Rows], object]) -> Callable[[Any], web.Response]:
    return lambda request: reply(change([celcom_row(row) for row in smslist(request)]))


def recipient(number: str) -> dict[str, Any]:
    return {
        "statusCode": 102,
        "number": number,
        "status": "Queued",
        "cost": "KES 0.8000",
        "messageId": f"ATPid_{number[-2:]}",
    }


def numbers_of(request: Any) -> list[str]:
    numbers: list[str] = msgspec.json.decode(request.body)["phoneNumbers"]
    return numbers


def africas_talking_answering(change: Callable[[Rows], Rows]) -> Callable[[Any], web.Response]:
    def answer(request: Any) -> web.Response:
        rows = change([recipient(number) for number in numbers_of(request)])
        return reply({"SMSMessageData": {"Message": "Sent", "Recipients": rows}})

    return answer


def celcom_receipts(numbers: Sequence[int]) -> list[Receipt]:
    return [Receipt(str(1000 + number), network="1") for number in numbers]


async def test_submit_many_groups_by_sender_and_keeps_to_the_limit(
    provider: Any, celcom: Callable[..., Aggregator]
):
    provider.answers["sendbulk"] = celcom_answering(lambda rows: {"responses": rows})
    mixed = [submission(n, sender="SHOP" if n % 2 else "BANK") for n in range(1, 9)]

    outcomes = await celcom(bulk_limit=3).submit_many([*mixed[:-1], submission(9, sender="SHOP")])

    assert outcomes == celcom_receipts([1, 2, 3, 4, 5, 6, 7, 9])
    sent = sorted(
        (len(rows), {row["shortcode"] for row in rows}.pop())
        for rows in map(smslist, provider.requests)
    )
    assert sent == [(2, "SHOP"), (3, "BANK"), (3, "SHOP")]
    assert all(msgspec.json.decode(r.body)["count"] == len(smslist(r)) for r in provider.requests)


async def test_submit_many_aligns_by_client_id_when_the_answer_is_shuffled(
    provider: Any, celcom: Callable[..., Aggregator]
):
    provider.answers["sendbulk"] = celcom_answering(lambda rows: {"responses": rows[::-1]})

    outcomes = await celcom().submit_many(submissions(5))

    assert outcomes == celcom_receipts([1, 2, 3, 4, 5])


async def test_submit_many_aligns_a_refusal_without_client_id_by_its_number(
    provider: Any, celcom: Callable[..., Aggregator]
):
    refusal = {"response-code": 1002, "response-description": "No", "mobile": "0712000002"}
    provider.answers["sendbulk"] = celcom_answering(
        lambda rows: {"responses": [refusal, rows[0], rows[2]]}
    )

    first, second, third = await celcom().submit_many(submissions(3))

    assert [first, third] == celcom_receipts([1, 3])
    assert isinstance(second, SendFailed)
    assert second.failure is FailureClass.ROUTE


@pytest.mark.parametrize(
    ("label", "change"),
    [
        ("one is left out", lambda rows: [rows[0], rows[2]]),
        ("one is answered twice", lambda rows: [*rows, rows[1] | {"messageid": 77}]),
        ("one has another's id", lambda rows: [rows[0], rows[1] | {"clientsmsid": "9"}, rows[2]]),
        ("one has no code", lambda rows: [rows[0], rows[1] | {"response-code": None}, rows[2]]),
    ],
)
async def test_submit_many_cannot_say_for_the_one_whose_answer_is_not_clear(
    label: str,
    change: Callable[[Rows], Rows],
    provider: Any,
    celcom: Callable[..., Aggregator],
):
    provider.answers["sendbulk"] = celcom_answering(lambda rows: {"responses": change(rows)})

    first, second, third = await celcom().submit_many(submissions(3))

    assert [first, third] == celcom_receipts([1, 3]), label
    assert isinstance(second, OutcomeUnknown)


async def test_submit_many_does_not_align_by_number_when_two_messages_share_it(
    provider: Any, celcom: Callable[..., Aggregator]
):
    provider.answers["sendbulk"] = celcom_answering(
        lambda rows: {"responses": [row | {"clientsmsid": None} for row in rows]}
    )
    twins = [Submission(MessageId(UUID(int=n)), "+254712000001", "Habari", "S") for n in (1, 2)]

    outcomes = await celcom().submit_many(twins)

    assert all(isinstance(outcome, OutcomeUnknown) for outcome in outcomes)


@pytest.mark.parametrize("is_listed", [True, False])
async def test_submit_many_refuses_all_when_the_request_is_refused(
    is_listed: bool,  # noqa: FBT001
    provider: Any,
    celcom: Callable[..., Aggregator],
):
    refusal = {"response-code": 1006, "response-description": "Invalid credentials"}
    provider.answer(
        "sendbulk", msgspec.json.encode({"responses": [refusal]} if is_listed else refusal)
    )

    outcomes = await celcom().submit_many(submissions(3))

    assert all(isinstance(outcome, SendFailed) for outcome in outcomes)
    assert len({id(outcome) for outcome in outcomes}) == 3


async def test_submit_many_cannot_say_when_a_flat_success_names_nobody(
    provider: Any, celcom: Callable[..., Aggregator]
):
    provider.answer("sendbulk", b'{"response-code":200,"response-description":"Success"}')

    outcomes = await celcom().submit_many(submissions(2))

    assert all(isinstance(outcome, OutcomeUnknown) for outcome in outcomes)


async def test_submit_many_splits_a_batch_that_is_too_long_for_the_provider(
    provider: Any, celcom: Callable[..., Aggregator]
):
    too_many = {"response-code": 1012, "response-description": "Too many messages on SMS LIST"}
    provider.answers["sendbulk"] = celcom_answering(
        lambda rows: too_many if len(rows) > 2 else {"responses": rows}
    )

    outcomes = await celcom().submit_many(submissions(8))

    assert outcomes == celcom_receipts(range(1, 9))
    assert sorted(len(smslist(request)) for request in provider.requests) == [2, 2, 2, 2, 4, 4, 8]


async def test_submit_many_finds_the_one_number_for_which_a_batch_is_refused(
    provider: Any, celcom: Callable[..., Aggregator]
):
    refusal = {"response-code": 1003, "response-description": "Invalid mobile number"}
    is_bad = "254712000003".__eq__
    provider.answers["sendbulk"] = celcom_answering(
        lambda rows: refusal if any(is_bad(str(r["mobile"])) for r in rows) else {"responses": rows}
    )
    provider.answers["sendsms"] = lambda request: reply(
        refusal
        if is_bad(msgspec.json.decode(request.body)["mobile"])
        else {"responses": [celcom_row(msgspec.json.decode(request.body))]}
    )

    first, second, third, fourth = await celcom().submit_many(submissions(4))

    assert [first, second, fourth] == celcom_receipts([1, 2, 4])
    assert isinstance(third, SendFailed)
    assert third.failure is FailureClass.RECIPIENT


async def test_submit_many_asks_for_the_balance_once_a_batch(
    provider: Any, celcom: Callable[..., Aggregator]
):
    low = {"response-code": 1004, "response-description": "Low credit units to send message"}
    provider.answers["sendbulk"] = celcom_answering(
        lambda rows: {"responses": [low | {"clientsmsid": row["clientsmsid"]} for row in rows]}
    )
    provider.answer("getbalance", b'{"response-code":200,"credit":"545.00"}')

    outcomes = await celcom().submit_many(submissions(3))

    assert [getattr(outcome, "failure", None) for outcome in outcomes] == [FailureClass.ROUTE] * 3
    assert [request.path[-10:] for request in provider.requests].count("getbalance") == 1


@pytest.mark.parametrize(("kind", "call"), [("celcom", "sendbulk"), ("africas_talking", "bulk")])
@pytest.mark.parametrize(("status", "kept"), [(200, OutcomeUnknown), (503, SendFailed)])
async def test_submit_many_answers_for_each_when_the_call_fails(
    kind: str,
    call: str,
    status: int,
    kept: type[Exception],
    provider: Any,
    build_adapter: Callable[..., Aggregator],
):
    provider.answer(call, "<html></html>", status=status)

    outcomes = await build_adapter(kind).submit_many(submissions(3))

    assert [type(outcome) for outcome in outcomes] == [kept] * 3


@pytest.mark.parametrize(
    ("kind", "call"), [("celcom", "sendsms"), ("africas_talking", "messaging")]
)
@pytest.mark.parametrize(("status", "kept"), [(200, OutcomeUnknown), (503, SendFailed)])
async def test_submit_many_of_one_uses_the_single_call(
    kind: str,
    call: str,
    status: int,
    kept: type[Exception],
    provider: Any,
    build_adapter: Callable[..., Aggregator],
):
    provider.answer(call, "<html></html>", status=status)

    outcomes = await build_adapter(kind).submit_many(submissions(1))

    assert [type(outcome) for outcome in outcomes] == [kept]
    assert len(provider.requests) == 1


@pytest.mark.parametrize("kind", ["celcom", "africas_talking"])
async def test_submit_many_of_nothing_calls_nobody(
    kind: str, provider: Any, build_adapter: Callable[..., Aggregator]
):
    outcomes = await build_adapter(kind).submit_many([])

    assert list(outcomes) == []
    assert provider.requests == []


async def test_submit_many_sends_one_text_to_many_in_one_json_call(
    provider: Any, africas_talking: Callable[..., Aggregator]
):
    provider.answers["bulk"] = africas_talking_answering(lambda rows: rows[::-1])

    outcomes = await africas_talking().submit_many(submissions(3))

    assert outcomes == [Receipt(f"ATPid_0{n}", cost="KES 0.8000") for n in (1, 2, 3)]
    (request,) = provider.requests
    assert request.path == "/version1/messaging/bulk"
    assert msgspec.json.decode(request.body) == {
        "username": "semalink",
        "message": "Habari",
        "senderId": "SEMALINK",
        "phoneNumbers": ["+254712000001", "+254712000002", "+254712000003"],
        "enqueue": 1,
    }


async def test_submit_many_separates_texts_senders_and_repeated_numbers(
    provider: Any, africas_talking: Callable[..., Aggregator]
):
    provider.answers["bulk"] = africas_talking_answering(lambda rows: rows)
    again = [
        Submission(MessageId(UUID(int=50 + n)), f"+2547120000{n:02}", "Habari", "SEMALINK")
        for n in (1, 2)
    ]
    others = [submission(n, text="Karibu") for n in (3, 4)]
    more = [submission(n, sender="BANK") for n in (5, 6)]

    outcomes = await africas_talking().submit_many([*submissions(2), *again, *others, *more])

    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    assert sorted(numbers_of(request)[0][-2:] for request in provider.requests) == [
        "01",
        "01",
        "03",
        "05",
    ]


async def test_submit_many_keeps_to_the_bulk_limit_of_africas_talking(
    provider: Any, africas_talking: Callable[..., Aggregator]
):
    provider.answers["bulk"] = africas_talking_answering(lambda rows: rows)

    outcomes = await africas_talking(bulk_limit=2).submit_many(submissions(6))

    assert len(outcomes) == 6
    assert [len(numbers_of(request)) for request in provider.requests] == [2, 2, 2]


async def test_submit_many_cannot_say_for_recipients_that_are_missing_or_named_twice(
    provider: Any, africas_talking: Callable[..., Aggregator]
):
    provider.answers["bulk"] = africas_talking_answering(lambda rows: [rows[0], rows[1], rows[1]])

    first, second, third = await africas_talking().submit_many(submissions(3))

    assert first == Receipt("ATPid_01", cost="KES 0.8000")
    assert isinstance(second, OutcomeUnknown)
    assert isinstance(third, OutcomeUnknown)


async def test_submit_many_finds_the_one_opt_out_for_which_a_call_is_refused(
    provider: Any, africas_talking: Callable[..., Aggregator], recording: Callable[[str], bytes]
):
    provider.answer("bulk", recording("africas_talking/send_refused_whole_blacklist.json"))
    provider.answers["messaging"] = lambda request: web.Response(
        body=recording(
            "africas_talking/send_refused_406.json"
            if b"254712000002" in request.body
            else "africas_talking/send_accepted_101.json"
        )
    )

    first, second = await africas_talking().submit_many(submissions(2))

    assert isinstance(first, Receipt)
    assert isinstance(second, SendFailed)
    assert second.failure is FailureClass.OPTED_OUT


@pytest.mark.parametrize("kind", ["celcom", "africas_talking"])
async def test_submit_many_makes_no_more_calls_at_once_than_allowed(
    kind: str, provider: Any, build_adapter: Callable[..., Aggregator]
):
    provider.is_answering.clear()
    provider.answers["sendbulk"] = celcom_answering(lambda rows: {"responses": rows})
    provider.answers["bulk"] = africas_talking_answering(lambda rows: rows)
    adapter = build_adapter(kind, bulk_limit=2, bulk_calls_at_once=2)

    submitting = asyncio.create_task(adapter.submit_many(submissions(10)))
    await provider.wait_for_requests(2)
    under_way = len(provider.requests)
    provider.is_answering.set()
    outcomes = await submitting

    assert under_way == 2
    assert provider.most_at_once == 2
    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
