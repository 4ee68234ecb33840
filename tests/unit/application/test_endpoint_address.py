from ipaddress import ip_network

import pytest

from semalink.application.endpoint_address import is_public_host, why_unfit

FORBIDDEN = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.2.3",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:db8::1",
    "fd00::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fec0::1",
    "::7f00:1",
    "::a00:1",
    "::ffff:0:7f00:1",
    "5f00::1",
    "4000::1",
    "3fff::1",
]


@pytest.mark.parametrize("host", FORBIDDEN)
def test_is_public_host_refuses_what_is_ours_or_nobodys(host: str):
    assert not is_public_host(host)


@pytest.mark.parametrize("host", ["1.1.1.1", "196.201.214.200", "2606:4700::1111"])
def test_is_public_host_accepts_public_addresses(host: str):
    assert is_public_host(host)


def test_is_public_host_takes_no_name_for_an_address():
    assert not is_public_host("example.com")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/webhooks",
        "https://example.com:8443/webhooks?shop=7",
        "https://example.com:443",
        "https://xn--bcher-kva.example/",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]/",
    ],
)
def test_why_unfit_accepts_public_https(url: str):
    assert why_unfit(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "http://example.com/",
        "ftp://example.com/",
        "https://",
        "https:///path",
        "https://example.com:80/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://exämple.com/",
        "https://example.com/" + "x" * 2_048,
        "https://localhost/",
        "https://LOCALHOST./",
        "https://db.internal/",
        "https://printer.local/",
        "https://a.localhost/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        *(f"https://{host}/" for host in FORBIDDEN if ":" not in host),
        *(f"https://[{host}]/" for host in FORBIDDEN if ":" in host),
    ],
)
def test_why_unfit_says_why_of_everything_else(url: str):
    assert why_unfit(url) is not None


def test_why_unfit_takes_other_ports_where_the_installation_does():
    url = "https://example.com:9443/"

    assert why_unfit(url) is not None
    assert why_unfit(url, extra_ports=frozenset({9_443})) is None


@pytest.mark.parametrize(
    "url", ["https://41.90.1.2/", "https://[2c0f:fe38::1]/", "https://[::ffff:41.90.1.2]/"]
)
def test_why_unfit_refuses_networks_that_the_installation_does_not_call_public(url: str):
    networks = [ip_network("41.90.0.0/16"), ip_network("2c0f:fe38::/32")]

    assert why_unfit(url) is None
    assert why_unfit(url, also_forbidden=networks) is not None


@pytest.mark.parametrize(
    ("url", "is_fit"),
    [
        ("http://127.0.0.1:9000/hook", True),
        ("https://10.0.0.1/", True),
        ("ftp://127.0.0.1/", False),
        ("http://user@127.0.0.1/", False),
    ],
)
def test_why_unfit_takes_private_addresses_in_a_sandbox(url: str, *, is_fit: bool):
    assert (why_unfit(url, allows_private=True) is None) == is_fit
