import pytest

from semalink.domain.networks import network_of_code


@pytest.mark.parametrize(
    ("code", "network"),
    [("63902", "safaricom"), ("64004", "vodacom"), ("1", None), ("99999", None), (None, None)],
)
def test_network_of_code_names_only_what_is_documented(
    code: str | None, network: str | None
) -> None:
    named = network_of_code(code)

    assert named == network
