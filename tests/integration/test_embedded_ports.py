"""Ports for servers that we start."""

import socket

from semalink_ops.embedded.ports import free_port, is_free


def test_free_port_gives_no_port_twice() -> None:
    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == len(ports)


def test_free_port_keeps_out_of_the_range_of_outgoing_connections() -> None:
    port = free_port()

    assert 20_000 <= port < 32_000


def test_is_free_denies_a_port_that_is_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]

        assert not is_free(port)

    assert is_free(port)
