"""A stored request that today's code refuses ends as an input mismatch, which repeats no value of it."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from fastapi import Body, Query
from pydantic import BaseModel, field_validator

from raincheck.core.errors import InputMismatch
from tests.fastapi.binding.functions import ITEM, Item, note, simple_query
from tests.fastapi.binding.harness import Operation


def stricter(item: Annotated[Item, Body()], n: Annotated[int, Query(gt=5)] = 9):
    return note(**locals())


def test_a_request_that_no_longer_fits_is_an_input_mismatch(tmp_path) -> None:
    """The text names places and rules, and repeats no value of the request."""
    operation = Operation(stricter, tmp_path)
    stored = json.dumps({"v": 1, "query": [["n", "1"]], "type": "application/json", "body": '{"price": "s3cret"}'})
    with pytest.raises(InputMismatch) as caught:
        operation.captured = operation.send("/run", json=ITEM)
        operation.arguments(stored)
    text = str(caught.value)
    assert "query.n: Input should be greater than 5" in text
    assert "body.name: Field required" in text
    assert "s3cret" not in text


class Telling(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def _check(cls, value: str) -> str:
        if value != "ok":
            msg = f"{value} is wrong"
            raise ValueError(msg)
        return value


def telling(data: Telling):
    return note(**locals())


def test_messages_of_validators_are_not_repeated(tmp_path) -> None:
    """A validator's own message may hold the value, so only its place is told."""
    operation = Operation(telling, tmp_path)
    operation.send("/run", json={"word": "ok"})
    stored = json.dumps({"v": 1, "type": "application/json", "body": '{"word": "s3cret"}'})
    with pytest.raises(InputMismatch, match=r"^body\.word: refused by a validator \(value_error\)$"):
        operation.arguments(stored)


def test_an_unknown_layout_is_refused(tmp_path) -> None:
    """A request stored by a newer release is not guessed at."""
    operation = Operation(simple_query, tmp_path)
    operation.send("/run?q=1")
    with pytest.raises(InputMismatch, match="layout 2"):
        operation.arguments('{"v": 2}')
