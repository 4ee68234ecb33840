"""Naming every field at fault; the decoder itself stops at the first."""

import re
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from semalink.web.problems import FieldProblem

#: A client that got more wrong than this has enough to read.
PROBLEMS_MAX = 100

# What msgspec appends to its sentences: where in the value the fault lies. Every value is checked
# so far apart from the others that the pointer says it better.
_PLACE = re.compile(r" - at `(?:key in )?\$.*`$")


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
    shape, parts = _container_of(wanted)
    if isinstance(value, list) and get_origin(parts) is list:
        yield from _leaf_problems(value, shape, pointer, strict=strict)
        (item_type,) = get_args(parts)
        for index, item in enumerate(value):
            yield from _problems(item, item_type, f"{pointer}/{index}", strict=strict)
    elif isinstance(value, dict) and get_origin(parts) is dict:
        yield from _leaf_problems(value, shape, pointer, strict=strict)
        for key, item in value.items():
            one: Any = {key: item}
            yield from _leaf_problems(one, parts, f"{pointer}/{escape(key)}", strict=strict)
    else:
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
        yield FieldProblem(pointer, "invalid_value", f"{_PLACE.sub('', str(error))}.")


def _struct_of(wanted: Any) -> type[msgspec.Struct] | None:
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return wanted
    return None


def _container_of(wanted: Any) -> tuple[Any, Any]:
    """Split a list or dict type into its bounds alone and the type of its parts, without bounds."""
    if get_origin(wanted) in {Union, UnionType}:
        choices = [choice for choice in get_args(wanted) if choice is not NoneType]
        return _container_of(choices[0]) if len(choices) == 1 else (Any, Any)
    bounds: tuple[Any, ...] = ()
    if get_origin(wanted) is Annotated:
        wanted, *rest = get_args(wanted)
        bounds = tuple(rest)
    shape: Any = list[Any] if get_origin(wanted) is list else dict[str, Any]
    for bound in bounds:
        shape = Annotated[shape, bound]
    return shape, wanted
