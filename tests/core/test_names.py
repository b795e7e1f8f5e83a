"""Operation ids."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raincheck.core.moments import milliseconds
from raincheck.core.names import (
    RANDOM_BYTES,
    TAIL,
    first_id_at,
    is_operation_id,
    operation_id,
    random_letters,
    time_ordered_id,
)
from raincheck.ids import Ids

MOMENTS = st.integers(min_value=0, max_value=(1 << 48) - 1)
ENTROPY = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@given(MOMENTS, ENTROPY)
def test_an_id_has_the_published_shape(moment: int, entropy: bytes) -> None:
    """``op_`` and 32 characters of Crockford's alphabet, which has no I, L, O and U."""
    made = operation_id(milliseconds=moment, entropy=entropy)
    assert len(made) == 35
    assert made.startswith("op_")
    assert not set(made[3:]) - set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert is_operation_id(made)


@given(MOMENTS, ENTROPY, MOMENTS, ENTROPY)
def test_ids_sort_by_time_then_by_entropy(first: int, left: bytes, second: int, right: bytes) -> None:
    """Newest first is an index scan backwards."""
    ids = [operation_id(milliseconds=first, entropy=left), operation_id(milliseconds=second, entropy=right)]
    assert (ids[0] < ids[1]) == ((first, left) < (second, right))
    assert (ids[0] == ids[1]) == ((first, left) == (second, right))


def test_ids_of_one_millisecond_differ() -> None:
    """112 random bits do not meet twice."""
    made = {operation_id(milliseconds=0, entropy=os.urandom(RANDOM_BYTES)) for _ in range(10_000)}
    assert len(made) == 10_000


@given(MOMENTS, st.binary(min_size=TAIL, max_size=TAIL))
def test_the_quick_way_gives_the_id_of_the_same_bits(moment: int, entropy: bytes) -> None:
    """The time is the first 48 bits, then come two bits of the first byte and five of each other."""
    bits = entropy[0] & 3
    for byte in entropy[1:]:
        bits = bits << 5 | byte & 31
    expected = operation_id(milliseconds=moment, entropy=bits.to_bytes(RANDOM_BYTES, "big"))
    assert time_ordered_id(moment, random_letters(entropy)) == expected


def test_ids_made_in_bulk_differ_also_in_a_forked_child() -> None:
    """No child goes on with the random bytes of its parent."""
    ids = Ids()
    made = {ids.at(0) for _ in range(1_000)}
    assert len(made) == 1_000
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ours, "".join(ids.at(0) for _ in range(10)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    text = os.read(theirs, 1_000).decode()
    os.close(theirs)
    os.close(ours)
    children = {text[start : start + 35] for start in range(0, len(text), 35)}
    assert len(children) == 10
    assert not children & {ids.at(0) for _ in range(10)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "op_",
        "op_" + "0" * 31,
        "op_" + "0" * 33,
        "OP_" + "0" * 32,
        "op_" + "U" * 32,
        "op_" + "a" * 32,
        "op_" + "0" * 32 + "\n",
        " op_" + "0" * 32,
        "op_" + "٣" * 32,
        "op_" + "0" * 31 + "%",
    ],
)
def test_other_texts_are_no_ids(text: str) -> None:
    """Whatever passes may become part of a path or a query."""
    assert not is_operation_id(text)


def test_the_first_id_of_a_moment_divides_before_from_after() -> None:
    """Time filters become id filters."""
    border = first_id_at(NOW)
    tick = timedelta(milliseconds=1)
    before = operation_id(milliseconds=milliseconds(NOW - tick), entropy=b"\xff" * RANDOM_BYTES)
    at = operation_id(milliseconds=milliseconds(NOW), entropy=bytes(RANDOM_BYTES))
    assert before < border <= at
    assert is_operation_id(border)


def test_moments_before_1970_have_the_smallest_id() -> None:
    """A filter may name any year."""
    assert first_id_at(datetime(1900, 1, 1, tzinfo=UTC)) == "op_" + "0" * 32


@given(st.datetimes(timezones=st.just(UTC), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - bounds are naive
def test_every_moment_has_a_first_id(moment: datetime) -> None:
    """No filter value makes the query fail."""
    assert is_operation_id(first_id_at(moment))
