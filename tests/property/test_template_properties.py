from hypothesis import given
from hypothesis import strategies as st

from semalink.domain.campaign_errors import InvalidTemplate
from semalink.domain.template import Missing, Template

NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,39}\Z")
VALUES = st.one_of(st.text(), st.integers(), st.none(), st.booleans(), st.just("{name}"))
TEXTS = st.one_of(st.text(), st.text(alphabet="{}ab_ 1\x00"))


def written(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@given(TEXTS, st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, st.text()))
def test_fill_never_raises_whatever_the_values(
    text: str, values: dict[str, object], defaults: dict[str, str]
) -> None:
    try:
        template = Template.parse(text)
    except InvalidTemplate:
        return

    filled = template.fill(values, defaults)

    assert isinstance(filled, str | Missing)


@given(st.text())
def test_fill_gives_back_any_text_whose_braces_are_doubled(text: str) -> None:
    assert Template.parse(written(text)).fill({}, {}) == text


@given(st.text(), NAMES, st.text(), st.text(min_size=1).filter(lambda one: not one.isspace()))
def test_fill_inserts_values_as_they_are(before: str, name: str, after: str, value: str) -> None:
    template = Template.parse(written(before) + "{" + name + "}" + written(after))

    assert template.fill({name: value}, {}) == before + value + after
