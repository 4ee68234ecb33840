"""What a provider answered to a submission, word for word but for what must not be kept."""

import re
from dataclasses import replace
from typing import Any

import msgspec

from semalink.application.ports import Receipt, Submission
from semalink_adapters.aggregators.batches import Outcome
from semalink_adapters.aggregators.wording import hide_echo, hide_numbers, hide_secrets

#: An answer about one message is a few hundred bytes; a longer one is a page that tells nothing.
_READ_BYTES_MAX = 8 * 1024
KEPT_BYTES_MAX = 2 * 1024
_DEPTH_MAX = 20
_HIDDEN = "*"
#: What of a number is the same however it is written.
_TAIL_LENGTH = 7
#: A shorter number is no phone number.
_SHORT_NUMBER = 1_000_000
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def keep_answer(
    outcome: Outcome, body: bytes, submission: Submission, secrets: tuple[str, ...]
) -> Outcome:
    """Return the outcome with the answer that it was read from, fit to be kept."""
    known = {submission.message_id.hex}
    if isinstance(outcome, Receipt):
        if submission.to[-_TAIL_LENGTH:] not in outcome.reference:
            known.add(outcome.reference)
        return replace(outcome, answer=_redacted(body, submission, known, secrets))
    outcome.answer = _redacted(body, submission, known, secrets)
    return outcome


def _redacted(
    body: bytes, submission: Submission, known: set[str], secrets: tuple[str, ...]
) -> str:
    if len(body) > _READ_BYTES_MAX:
        return f"(An answer of {len(body)} bytes, which was not kept.)"
    redaction = _Redaction(submission.text, known, secrets)
    try:
        words = _encode(redaction.value(_decode(body), 0)).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        words = redaction.text(_unescaped(body.decode(errors="replace")))
    # A key that only the JSON around it broke up would be whole again in what was encoded.
    words = hide_secrets(words, secrets)
    return words.encode()[:KEPT_BYTES_MAX].decode(errors="ignore")


def _unescaped(words: str) -> str:
    # What is cut off in the middle is no JSON, and may hide the text in escapes all the same. Half
    # a pair of surrogates could not be stored.
    plain = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), words).replace("\\/", "/")
    return plain.encode(errors="replace").decode()


class _Redaction:
    """Hides keys, phone numbers and the text of one message, wherever they are in an answer."""

    def __init__(self, text: str, known: set[str], secrets: tuple[str, ...]) -> None:
        self._text = text
        self._known = known
        self._secrets = secrets

    def value(self, value: Any, depth: int) -> Any:
        """Return a part of a JSON answer without what must not be kept."""
        if depth > _DEPTH_MAX:
            return _HIDDEN
        if isinstance(value, dict):
            return {self.text(key): self.value(part, depth + 1) for key, part in value.items()}
        if isinstance(value, list):
            return [self.value(part, depth + 1) for part in value]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(value)
        return value

    def text(self, words: str) -> str:
        """Return words without what must not be kept."""
        if words in self._known and words not in self._secrets:
            return words
        words = hide_echo(hide_secrets(words, self._secrets), self._text)
        return hide_numbers("".join(char if char.isprintable() else " " for char in words))

    def _number(self, value: float) -> Any:
        if abs(value) < _SHORT_NUMBER and self.text(str(value)) == str(value):
            return value
        return value if str(value) in self._known else _HIDDEN
