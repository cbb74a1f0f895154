"""Which variables a sample context lacks, and what stands for them."""

from typing import Any

import pytest

from post_office.rendering import samples

MISSING: list[tuple[str, list[str], dict[str, Any], list[str]]] = [
    ("what is there is not missing", ["a", "b"], {"a": None}, ["b"]),
    ("inside an object", ["order.total", "order.id"], {"order": {"id": 1}}, ["order.total"]),
    ("inside a list", ["items.0.name", "items.1"], {"items": [{"name": "x"}]}, ["items.1"]),
    ("an attribute of a text or a number may be anything", ["name.upper"], {"name": "Ann"}, []),
]


@pytest.mark.parametrize(
    ("what", "names", "context", "expected"), MISSING, ids=[what for what, *_ in MISSING]
)
def test_missing(what: str, names: list[str], context: dict[str, Any], expected: list[str]) -> None:
    assert samples.missing(names, context) == expected


COMPLETED: list[tuple[str, list[str], dict[str, Any], dict[str, Any]]] = [
    ("a name says itself", ["first_name"], {}, {"first_name": "first name"}),
    ("what is there stays", ["a", "b"], {"a": 1, "c": 2}, {"a": 1, "b": "b", "c": 2}),
    ("objects in objects", ["a.b.c", "a.d"], {"a": {"x": 1}}, {"a": {"x": 1, "b": {"c": "c"}, "d": "d"}}),
    ("a name is an object where it has something", ["order", "order.id"], {}, {"order": {"id": "id"}}),
    ("lists are left alone", ["items.1"], {"items": [1]}, {"items": [1]}),
]


@pytest.mark.parametrize(
    ("what", "names", "context", "expected"), COMPLETED, ids=[what for what, *_ in COMPLETED]
)
def test_completed(what: str, names: list[str], context: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(context)
    assert samples.completed(names, context) == expected
    assert repr(context) == before
