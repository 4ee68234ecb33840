"""What is kept of an answer, and what is not."""

from uuid import UUID

import msgspec
import pytest

from semalink.application.ports import OutcomeUnknown, Receipt, Submission
from semalink.domain.ids import MessageId
from semalink_adapters.aggregators.kept_answers import keep_answer

KEY = "k3y-0f-nobody"
TEXT = "Nambari yako ya siri ni 4921 — usiseme"
MESSAGE_ID = UUID(int=7)
SUBMISSION = Submission(MessageId(MESSAGE_ID), "+254712345678", TEXT, "SEMA")


def kept(body: str | bytes) -> str:
    raw = body.encode() if isinstance(body, str) else body
    outcome = keep_answer(OutcomeUnknown(), raw, SUBMISSION, (KEY,))
    assert isinstance(outcome, OutcomeUnknown)
    assert outcome.answer is not None
    return outcome.answer


def test_answer_is_kept_word_for_word() -> None:
    answer = '{"responses":[{"respose-code":200,"response-description":"Success","cost":"0.80"}]}'

    assert kept(answer) == answer


def test_answer_keeps_the_ids_of_the_message() -> None:
    answer = f'{{"messageid":810668705,"clientsmsid":"{MESSAGE_ID.hex}"}}'

    outcome = keep_answer(Receipt("810668705"), answer.encode(), SUBMISSION, (KEY,))

    assert isinstance(outcome, Receipt)
    assert outcome.answer == answer


@pytest.mark.parametrize(
    "mobile",
    ["254712345678", '"+254712345678"', '"0712 345 678"', "2.54712345678e11", '"712345678"'],
)
def test_answer_hides_the_number_however_it_is_written(mobile: str) -> None:
    assert kept(f'{{"mobile":{mobile}}}') == '{"mobile":"*"}'


def test_answer_hides_a_number_that_is_given_for_an_id() -> None:
    body = b'{"messageid":"254712345678"}'

    outcome = keep_answer(Receipt("254712345678"), body, SUBMISSION, (KEY,))

    assert outcome.answer == '{"messageid":"*"}'


@pytest.mark.parametrize(
    "body",
    [
        msgspec.json.encode({"error": f"bad content: {TEXT}"}),
        b'{"error": "Nambari yako ya siri ni 4921 \\u2014 usiseme"}',
        b'{"error": "Nambari yako ya siri ni 4921 \\u2014 usise',
        msgspec.json.encode([{TEXT: {"deep": [TEXT, KEY]}}]),
        f"<html>{KEY} {TEXT} 0712345678".encode(),
    ],
)
def test_answer_hides_text_and_key_wherever_they_are(body: bytes) -> None:
    answer = kept(body)

    assert "4921" not in answer
    assert "usise" not in answer
    assert KEY not in answer
    assert "712345678" not in answer


@pytest.mark.parametrize("depth", [30, 3_000])
def test_answer_is_kept_as_deep_as_any_should_be(depth: int) -> None:
    answer = kept("[" * depth + f'"{KEY}"' + "]" * depth)

    assert KEY not in answer
    assert answer.startswith("[[[")


def test_answer_of_many_bytes_is_cut_between_characters() -> None:
    answer = kept(msgspec.json.encode({"page": "é" * 3_000}))

    assert len(answer.encode()) == 2_047
    assert answer.endswith("é")


def test_answer_that_is_a_page_is_only_measured() -> None:
    assert kept("x" * 9_000) == "(An answer of 9000 bytes, which was not kept.)"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b'"\\ud83d"', b"\\ud83d"])
def test_answer_can_always_be_stored(body: bytes) -> None:
    kept(body).encode()
