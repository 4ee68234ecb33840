import pytest

from semalink.domain.routing import choose_route


@pytest.mark.parametrize(
    ("preferred", "refused_by", "route"),
    [
        (None, (), "celcom"),
        (None, ("celcom",), "africastalking"),
        (None, ("celcom", "africastalking"), None),
        ("africastalking", (), "africastalking"),
        ("africastalking", ("africastalking",), "celcom"),
        ("africastalking", ("celcom", "africastalking"), None),
        ("celcom", (), "celcom"),
        ("retired", (), "celcom"),
    ],
)
def test_choose_route_takes_the_preferred_then_the_order_without_refusers(
    preferred: str | None, refused_by: tuple[str, ...], route: str | None
) -> None:
    chosen = choose_route(preferred, refused_by=refused_by)

    assert chosen == route


def test_choose_route_follows_another_order() -> None:
    chosen = choose_route(None, refused_by=("b",), order=("b", "c"))

    assert chosen == "c"


def test_choose_route_never_leaves_the_order() -> None:
    chosen = choose_route("sandbox", refused_by=(), order=("celcom",))

    assert chosen == "celcom"
