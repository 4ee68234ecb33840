from typing import Any

PATH = "/v1/contact-lists"
FILE = b"phone\n0712345678\n"


async def make_list(api: Any, headers: dict[str, str]) -> str:
    """Make a list with a contact and an import under way; return its path."""
    made = await api.post(PATH, json={"name": "Shop"}, headers=headers)
    path = f"{PATH}/{made.json()['id']}"
    await api.put(f"{path}/contacts/254712345678", json={"attributes": {}}, headers=headers)
    return path


async def import_into(api: Any, path: str, headers: dict[str, str]) -> Any:
    return await api.post(
        f"{path}/imports", content=FILE, headers={**headers, "content-type": "text/csv"}
    )


async def test_test_key_makes_lists_and_imports_into_them(api: Any, acme: Any, bearer: Any) -> None:
    path = await make_list(api, bearer(acme.test))

    started = await import_into(api, path, bearer(acme.test))
    contact = await api.get(f"{path}/contacts/254712345678", headers=bearer(acme.test))

    assert (started.status_code, contact.status_code) == (202, 200)


async def test_test_key_destroys_nothing_of_a_list(api: Any, acme: Any, bearer: Any) -> None:
    path = await make_list(api, bearer(acme.live))
    started = await import_into(api, path, bearer(acme.live))
    one = f"{path}/imports/{started.json()['id']}"

    answers = [
        await api.request(method, at, json=said, headers=bearer(acme.test))
        for method, at, said in (
            ("PATCH", path, {"name": "Tried out"}),
            ("DELETE", path, None),
            ("DELETE", f"{path}/contacts/254712345678", None),
            ("POST", f"{one}/cancel", None),
        )
    ]

    read = await api.get(path, headers=bearer(acme.live))
    followed = await api.get(one, headers=bearer(acme.live))
    assert [answer.json()["code"] for answer in answers] == ["forbidden"] * 4
    assert (read.json()["name"], read.json()["contact_count"]) == ("Shop", 1)
    assert followed.json()["state"] == started.json()["state"]
