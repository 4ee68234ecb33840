import socket
from dataclasses import fields
from pathlib import Path

import pytest

from semalink_ops.settings import Settings
from semalink_ops.up.children import STOP_STAGES, children
from semalink_ops.up.failures import UpFailed
from semalink_ops.up.local_settings import local_settings
from semalink_ops.up.own_files import Secrets, own_folder
from semalink_ops.up.ports import FOLLOWING_PORTS, Ports

SERVERS = {
    "SEMALINK_DATABASE_URL": "postgresql://semalink:password@127.0.0.1:8084/semalink",
    "SEMALINK_NATS_URL": "nats://token@127.0.0.1:8085",
}


def numbers(ports: Ports) -> list[int]:
    everything = [getattr(ports, field.name) for field in fields(ports)]
    return [one for found in everything for one in (found if isinstance(found, tuple) else [found])]


def settings_of(tmp_path: Path, environment: dict[str, str]) -> Settings:
    return local_settings(
        environment,
        ports=Ports.following(8080, 1),
        secrets=Secrets(tmp_path),
        workers=1,
        servers=SERVERS,
    )


def test_following_ports_all_differ_and_stay_within_their_range() -> None:
    found = numbers(Ports.following(8080, 16))

    assert len(set(found)) == len(found)
    assert min(found) == 8080
    assert max(found) < 8080 + FOLLOWING_PORTS


def test_free_ports_all_differ() -> None:
    found = numbers(Ports.free(3))

    assert len(set(found)) == len(found)


def test_taken_port_is_refused_with_what_to_do() -> None:
    ports = Ports.free(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports.dlr))
        taken.listen()

        with pytest.raises(UpFailed, match=rf"Port {ports.dlr} is taken\..*--port"):
            ports.refuse_taken()


def test_children_have_names_and_ports_of_their_own() -> None:
    found = children(Ports.following(8080, 3))

    assert len({child.name for child in found}) == len(found)
    assert len({child.port for child in found}) == len(found)
    assert {child.stop_stage for child in found} == set(STOP_STAGES)


def test_children_end_from_the_outside_in() -> None:
    stage = {child.name: child.stop_stage for child in children(Ports.following(8080, 1))}

    assert stage["api"] == stage["dlr-intake"] == stage["admin"]
    assert stage["api"] < stage["worker-sms"] < stage["relay"] < stage["sandbox"]
    assert stage["worker-dlr"] < stage["projector"]


def test_local_settings_make_the_sandbox_both_aggregators(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {})

    assert settings.celcom_url == settings.africastalking_url == "http://127.0.0.1:8083"
    assert settings.sandbox_url == "http://127.0.0.1:8083"
    assert settings.dlr_url == "http://127.0.0.1:8081"
    assert settings.unknown_after_seconds == 60


def test_local_settings_keep_their_secrets(tmp_path: Path) -> None:
    first = settings_of(tmp_path, {})

    second = settings_of(tmp_path, {})

    assert first == second


def test_local_settings_let_the_environment_count_first(tmp_path: Path) -> None:
    given = {
        "SEMALINK_CELCOM_PARTNER_ID": "77",
        "SEMALINK_CELCOM_API_KEY": "real",
        "SEMALINK_CELCOM_DLR_SECRET": "a-secret-of-ours-of-24-c",
        "SEMALINK_LOG_LEVEL": "debug",
        "SEMALINK_API_PORT": "1",
    }

    settings = settings_of(tmp_path, given)

    assert settings.celcom_partner_id == "77"
    assert settings.celcom_url == "https://isms.celcomafrica.com"
    assert settings.log_level == "debug"
    assert settings.api_port == 8080


def test_secrets_are_private(tmp_path: Path) -> None:
    Secrets(tmp_path).get("key_pepper")

    assert (tmp_path / "secrets" / "key_pepper").stat().st_mode & 0o077 == 0


def test_folder_has_one_owner(tmp_path: Path) -> None:
    with own_folder(tmp_path), pytest.raises(UpFailed, match="Another"), own_folder(tmp_path):
        pass


def test_folder_is_free_again_after_its_owner(tmp_path: Path) -> None:
    with own_folder(tmp_path):
        pass

    with own_folder(tmp_path):
        pass
