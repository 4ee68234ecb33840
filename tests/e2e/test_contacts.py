"""Contacts as a customer brings them: a compressed file with some rubbish, followed to its end."""

import gzip
from typing import Any

import aiohttp
from tests.chaos.waiting import until

ROWS = 12_000
FILE = "phone,name\n" + "".join(
    "12,bad\n" if row % 1_000 == 0 else f"07220{row % 11_000:05d},Row {row}\n"
    for row in range(ROWS)
)


async def test_import_is_followed_to_its_end_and_tells_what_it_rejected(
    platform: dict[str, Any],
) -> None:
    headers = {"Authorization": f"Bearer {platform['api_key']}"}
    url = f"{platform['api_url']}/v1/contact-lists"
    async with aiohttp.ClientSession(headers=headers, trust_env=False) as http:
        async with http.post(url, json={"name": "Shop"}) as made:
            list_id = (await made.json())["id"]
        async with http.post(
            f"{url}/{list_id}/imports",
            data=gzip.compress(FILE.encode()),
            headers={"Content-Type": "text/csv", "Content-Encoding": "gzip"},
        ) as taken:
            assert taken.status == 202
            location = platform["api_url"] + taken.headers["Location"]

        async def state() -> dict[str, Any]:
            async with http.get(location) as read:
                found: dict[str, Any] = await read.json()
                return found

        async def has_ended() -> bool:
            return (await state())["state"] != "running"

        await until(has_ended, "the end of the import", within_seconds=20)
        ended = await state()
        async with http.get(f"{location}/rejected") as rejected:
            lines = (await rejected.text()).splitlines()
        async with http.get(f"{url}/{list_id}/contacts?number=0722000001") as found:
            [contact] = (await found.json())["items"]

    assert ended["state"] == "finished"
    assert ended["rows"] == {
        "total": ROWS, "checked": ROWS, "added": 10_989, "updated": 0, "duplicate": 999,
        "invalid": 12,
    }  # fmt: skip
    assert [line.split(",")[:2] for line in lines[1:3]] == [
        ["2", "invalid_number"],
        ["1002", "invalid_number"],
    ]
    assert contact["attributes"] == {"name": "Row 11001"}
