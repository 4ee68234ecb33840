"""How a promotional message says that one can stop such messages."""

from semalink.domain.segments import Encoding, measure

OPT_OUT_TEXT_LENGTH_MAX = 60


def with_opt_out(text: str, opt_out: str) -> str:
    """Return the text with the way out at its end; as it is when it says so already."""
    if _squeezed(opt_out) in _squeezed(text):
        return text
    return text + opt_out if text[-1:].isspace() else f"{text} {opt_out}"


def why_no_opt_out_text(text: str) -> str | None:
    """Say why a text cannot be added to messages; None when it can."""
    if not text.strip() or text != text.strip() or not text.isprintable():
        return "The opt-out text must be one line without blanks around it."
    if len(text) > OPT_OUT_TEXT_LENGTH_MAX:
        return f"The opt-out text has at most {OPT_OUT_TEXT_LENGTH_MAX} characters."
    if measure(text).encoding is not Encoding.GSM_7:
        return "The opt-out text must be of GSM-7 letters, or it makes every message dearer."
    return None


def _squeezed(text: str) -> str:
    # Customers write it with other blanks and another case.
    return "".join(text.casefold().split())
