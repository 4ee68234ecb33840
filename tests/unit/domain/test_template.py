import pytest

from semalink.domain.campaign_errors import InvalidTemplate
from semalink.domain.template import VARIABLES_MAX, Missing, Template


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        ("Habari!", {}, "Habari!"),
        ("", {}, ""),
        ("Habari {name}!", {"name": "Wanjiku"}, "Habari Wanjiku!"),
        ("{a}{b}{a}", {"a": "1", "b": "2"}, "121"),
        ("{{name}} is {name}", {"name": "x"}, "{name} is x"),
        ("100% } of {{", {}, "100% } of {"),
        ("{_x9}", {"_x9": 7}, "7"),
        ("{a}", {"a": "{b}", "b": "no"}, "{b}"),
    ],
)
def test_fill_replaces_variables_only(text: str, values: dict[str, object], filled: str) -> None:
    template = Template.parse(text)

    assert template.fill(values, {}) == filled


@pytest.mark.parametrize("value", [None, "", "  ", True, 1.5, ["x"]])
def test_fill_names_the_variable_that_is_missing(value: object) -> None:
    template = Template.parse("Dear {name}, pay {amount}.")

    assert template.fill({"name": value, "amount": "5"}, {}) == Missing("name")


def test_fill_takes_a_default_where_a_recipient_has_nothing() -> None:
    template = Template.parse("Dear {name}.")

    assert template.fill({"name": " "}, {"name": "customer"}) == "Dear customer."
    assert template.fill({"name": "Ada"}, {"name": "customer"}) == "Dear Ada."
    assert template.fill({}, {"name": ""}) == Missing("name")


@pytest.mark.parametrize("text", ["Dear {", "{first name}", "{9}", "{}", "{a-b} {c}", "{é}"])
def test_parse_refuses_a_brace_that_is_no_variable(text: str) -> None:
    with pytest.raises(InvalidTemplate) as refused:
        Template.parse(text)

    assert f"position {text.index('{') + 1}" in str(refused.value)


def test_parse_refuses_more_variables_than_it_bounds() -> None:
    assert len(Template.parse("{a}" * VARIABLES_MAX).parts) == 2 * VARIABLES_MAX + 1

    with pytest.raises(InvalidTemplate):
        Template.parse("{a}" * (VARIABLES_MAX + 1))


def test_parse_finds_the_names_of_the_variables() -> None:
    template = Template.parse("{b} {a} {b} {{c}}")

    assert template.variables == {"a", "b"}
