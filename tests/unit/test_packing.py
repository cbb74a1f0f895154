"""Values survive as text, with their types and their order."""

import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from post_office.packing import pack, unpack

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(timezone.utc)).map(lambda moment: moment.replace(fold=0))
    | st.times().map(lambda moment: moment.replace(fold=0))
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
keys = st.text() | st.integers() | st.just("$")
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(keys, inner)
        | st.lists(inner).map(tuple)
        | st.frozensets(st.integers(), max_size=1)
    ),
    max_leaves=15,
)


@given(values)
def test_what_is_unpacked_equals_what_was_packed(value):
    back = unpack(pack(value))

    assert back == value
    assert repr(back) == repr(value)  # 1 is not 1.0, and a dict keeps its order


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1.10"),
        uuid.UUID(int=7),
        date(2026, 1, 2),
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2))),
        time(3, 4),
        {"z": 1, "a": {2: [b"\x00\xff", "\x00", "\ud800"]}},
        {"$": "bytes", "of": "not bytes"},
    ],
)
def test_special_values(value):
    assert repr(unpack(pack(value))) == repr(value)


def test_packed_text_can_be_stored_anywhere():
    assert pack("\x00\ud800é").isascii()
    assert "\x00" not in pack("\x00")


def test_lazy_text_is_packed_as_it_reads_now():
    assert unpack(pack({"subject": gettext_lazy("Subject")})) == {"subject": "Subject"}


def test_other_objects_are_refused_by_their_type():
    with pytest.raises(TypeError, match="is a object, which cannot be stored"):
        pack({"a": [object()]})


class Word(str, Enum):
    A = "a"


class Number(int, Enum):
    ONE = 1


class Part(float, Enum):
    HALF = 0.5


@pytest.mark.parametrize(("member", "value"), [(Word.A, "a"), (Number.ONE, 1), (Part.HALF, 0.5)])
def test_a_member_of_an_enum_is_packed_as_its_value(member: Enum, value: object) -> None:
    back = unpack(pack([member]))[0]

    assert (back, type(back)) == (value, type(value))


def test_what_holds_itself_is_refused():
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(TypeError, match="cannot be stored"):
        pack(endless)
