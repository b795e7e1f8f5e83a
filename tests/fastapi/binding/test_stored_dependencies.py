"""Values of dependencies are stored with the request, and come back as they were or are refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

import pytest
from fastapi import Body, Depends, FastAPI
from fastapi.security import OAuth2PasswordBearer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from raincheck.core.errors import DefinitionError
from raincheck.fastapi.round_trip import stored_value
from tests.fastapi.binding.functions import ITEM, Color, Item, compare, note
from tests.fastapi.binding.harness import Operation


class Shade(StrEnum):
    DARK = "dark"


class User(BaseModel):
    id: int
    born: date | None = None
    handle: str = Field("h", validation_alias="in", serialization_alias="out")


def current_user() -> User:
    return User(id=7, born=date(2000, 1, 2), **{"in": "me"})


def paging(size: int = 5) -> tuple[int, Color]:
    return size, Color.BLUE


@dataclass
class Common:
    q: str = "x"
    level: int = 0


def no_user() -> User | None:
    return None


def raw(data: Annotated[bytes, Body()]) -> bytes:
    return data


def with_depends(
    user: Annotated[User, Depends(current_user)],
    common: Annotated[Common, Depends()],
    item: Item,
    page=Depends(paging),
    nobody: User | None = Depends(no_user),
):
    return note(**locals())


def test_depends_values_come_back_as_they_were(tmp_path) -> None:
    """Models with two aliases, tuples, enums, dataclasses and None survive the store."""
    compare(with_depends, {"url": "/run?size=3&q=z", "json": ITEM}, tmp_path)


@given(value=st.text())
def test_any_text_comes_back(value) -> None:
    """Quotes, controls, and what is no ASCII; JSON as text of ASCII or of UTF-8 is one to its reader."""
    stored = stored_value("text", str, owner="f")
    assert stored.load(stored.dump(value)) == value


def test_half_a_character_is_refused() -> None:
    """It has no form in UTF-8."""
    with pytest.raises(DefinitionError, match="'text', a str, does not come back"):
        stored_value("text", str, owner="f").dump("\ud800")


def bytes_depends(data: Annotated[bytes, Depends(raw)]):
    return note(**locals())


def test_bytes_of_a_dependency_come_back(tmp_path) -> None:
    """A Depends value of bytes that are no UTF-8 survives the store."""
    compare(bytes_depends, {"url": "/run", "content": b"\xff\x00"}, tmp_path)


def shade() -> str:
    return Shade.DARK


def takes_shade(shade: Annotated[str, Depends(shade)]):
    return note(**locals())


def test_a_depends_value_that_only_equals_its_stored_form_is_refused(tmp_path) -> None:
    """A member of a StrEnum, declared as str, would come back as a plain str."""
    operation = Operation(takes_shade, tmp_path)
    with pytest.raises(DefinitionError, match="'shade', a Shade"):
        operation.client.post("/run")


class Admin(User):
    level: int = 3


def admin() -> User:
    return Admin(id=1)


def takes_admin(user: Annotated[User, Depends(admin)]):
    return note(**locals())


def test_a_depends_value_of_another_type_is_refused(tmp_path) -> None:
    """A subclass would silently lose its fields in the store, so the request fails and names WorkerDepends."""
    operation = Operation(takes_admin, tmp_path)
    with pytest.raises(DefinitionError, match=r"takes_admin: .*'user', a Admin.*WorkerDepends"):
        operation.client.post("/run")


def takes_claims(claims: Annotated[dict[str, Any], Depends(lambda: {"at": datetime(2026, 1, 1)})]):  # noqa: DTZ001
    return note(**locals())


def test_a_depends_value_that_changes_in_json_is_refused(tmp_path) -> None:
    """A datetime inside a dict of Any would come back as text."""
    operation = Operation(takes_claims, tmp_path)
    with pytest.raises(DefinitionError, match="'claims', a dict"):
        operation.client.post("/run")


def overridden(user: Annotated[User, Depends(current_user)]):
    return note(**locals())


def test_dependency_overrides_apply_at_the_request(tmp_path) -> None:
    """app.dependency_overrides replaces a Depends value before it is stored."""
    operation = Operation(overridden, tmp_path)
    app: FastAPI = operation.client.app
    app.dependency_overrides[current_user] = lambda: User(id=99)
    operation.send("/run")
    assert operation.arguments()["user"].id == 99


bearer = OAuth2PasswordBearer(tokenUrl="token")


def user_of(token: Annotated[str, Depends(bearer)]) -> User:
    return User(id=len(token))


def guarded(user: Annotated[User, Depends(user_of)]):
    return note(**locals())


def test_a_scheme_inside_a_dependency_is_free(tmp_path) -> None:
    """The user is stored, the token is not."""
    operation = compare(guarded, {"url": "/run", "headers": {"authorization": "Bearer s3cret"}}, tmp_path)
    assert "s3cret" not in operation.captured.stored
    assert operation.arguments()["user"].id == 6
