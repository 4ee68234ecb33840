import pytest

from semalink.application.ports import OptOutNotice, UnreadableReport
from semalink_adapters.aggregators.africas_talking_reports import parse_opt_outs


@pytest.mark.parametrize(
    "body",
    [
        b"senderId=ACME&phoneNumber=%2B254712345678",
        b"phoneNumber=+254712345678&senderId=+ACME+&date=2026-11-23",
        b"senderId=ACME&phoneNumber=254712345678",
    ],
)
def test_parse_opt_outs_reads_who_stopped_which_sender_id(body: bytes) -> None:
    assert parse_opt_outs(body) == (OptOutNotice("ACME", "+254712345678"),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"senderId=ACME",
        b"phoneNumber=%2B254712345678",
        b"senderId=&phoneNumber=%2B254712345678",
        b"senderId=%00&phoneNumber=%2B254712345678",
        b"senderId=ACME&phoneNumber=0712",
        b'{"senderId": "ACME", "phoneNumber": "+254712345678"}',
        b"&".join(b"a=1" for _ in range(60)),
    ],
)
def test_parse_opt_outs_refuses_what_lacks_sender_id_or_number(body: bytes) -> None:
    with pytest.raises(UnreadableReport):
        parse_opt_outs(body)
