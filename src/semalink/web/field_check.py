"""Naming every field at fault; the decoder itself stops at the first."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from semalink.web.problems import FieldProblem

#: A client that got more wrong than this has enough to read.
PROBLEMS_MAX = 100

# What msgspec appends to its sentences: where in the value the fault lies.
_PLACE = re.compile(r" - at `(?:key in )?\$(?P<path>.*)`$")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")


def find_problems(value: Any, wanted: Any, *, strict: bool = True) -> list[FieldProblem]:
    """Return what keeps a value from being of the wanted type, in order of the fields."""
    problems: list[FieldProblem] = []
    for problem in _problems(value, wanted, "", strict=strict):
        problems.append(problem)
        if len(problems) == PROBLEMS_MAX:
            break
    return problems


def escape(name: str) -> str:
    """Return a name as a step of an RFC 6901 pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _problems(value: Any, wanted: Any, pointer: str, *, strict: bool) -> Iterator[FieldProblem]:
    struct = _struct_of(wanted)
    if struct is not None and isinstance(value, Mapping):
        yield from _struct_problems(value, struct, pointer, strict=strict)
        return
    shape, item = _list_of(wanted)
    if item is not None and isinstance(value, list):
        yield from _leaf_problems(value, shape, pointer, strict=strict)
        for index, one in enumerate(value):
            yield from _problems(one, item, f"{pointer}/{index}", strict=strict)
        return
    yield from _leaf_problems(value, wanted, pointer, strict=strict)


def _struct_problems(
    value: Mapping[str, Any], struct: type[msgspec.Struct], pointer: str, *, strict: bool
) -> Iterator[FieldProblem]:
    hints = get_type_hints(struct, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name, field in fields.items():
        place = f"{pointer}/{escape(name)}"
        if name in value:
            yield from _problems(value[name], hints[field.name], place, strict=strict)
        elif field.required:
            yield FieldProblem(place, "required", "The field is missing.")
    for name in value:
        if name not in fields:
            place = f"{pointer}/{escape(name)}"
            yield FieldProblem(place, "unknown_field", "There is no field of this name.")


def _leaf_problems(
    value: Any, wanted: Any, pointer: str, *, strict: bool
) -> Iterator[FieldProblem]:
    try:
        msgspec.convert(value, wanted, strict=strict)
    except msgspec.ValidationError as error:
        sentence = str(error)
        place = _PLACE.search(sentence)
        if place is not None:
            pointer += _as_pointer(place["path"])
            sentence = sentence[: place.start()]
        yield FieldProblem(pointer, "invalid_value", f"{sentence}.")


def _as_pointer(path: str) -> str:
    steps = (match["name"] or match["index"] for match in _STEP.finditer(path))
    return "".join(f"/{escape(step)}" for step in steps)


def _struct_of(wanted: Any) -> type[msgspec.Struct] | None:
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return wanted
    return None


def _list_of(wanted: Any) -> tuple[Any, Any]:
    """Split a list type into its bounds and the type of its items; None when it is no list."""
    bounds: tuple[Any, ...] = ()
    if get_origin(wanted) is Annotated:
        wanted, *rest = get_args(wanted)
        bounds = tuple(rest)
    if get_origin(wanted) is not list:
        return None, None
    shape: Any = list[Any]
    for bound in bounds:
        shape = Annotated[shape, bound]
    return shape, get_args(wanted)[0]
