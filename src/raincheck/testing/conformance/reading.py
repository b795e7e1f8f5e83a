"""Reading single records and lists."""

from __future__ import annotations

import pytest

from raincheck.core.operation import Operation, Status
from raincheck.ports import ListQuery
from raincheck.testing.conformance.specimens import (
    DAY,
    NOW,
    SECOND,
    Store,
    an_operation,
    brought_to,
    start,
    submitted,
    succeed,
)


class ReadingConformance:
    """Lists are newest first, filtered, and light."""

    pytestmark = pytest.mark.anyio

    async def test_an_unknown_id_is_none(self, store: Store) -> None:
        """Also for texts that are no id at all."""
        assert await store.get(an_operation().id) is None
        assert await store.get("") is None
        assert await store.get("op_'; DROP TABLE operations; --") is None

    @pytest.mark.parametrize("status", list(Status))
    async def test_every_status_reads_back(self, store: Store, status: Status) -> None:
        """What a change returned is what the next reader sees."""
        record = await brought_to(store, status)
        assert record.status is status
        assert await store.get(record.id) == record

    async def test_a_list_is_newest_first(self, store: Store) -> None:
        """By id, which begins with the time."""
        old, new, middle = [await submitted(store, created=NOW + n * SECOND) for n in (0, 2, 1)]
        assert await _ids(store, ListQuery(owner=None)) == [new.id, middle.id, old.id]

    async def test_pages_join_without_gap_or_overlap(self, store: Store) -> None:
        """``before_id`` is the last id of the former page."""
        made = [(await submitted(store, created=NOW + n // 2 * SECOND)).id for n in range(7)]
        found: list[str] = []
        while page := await _ids(store, ListQuery(owner=None, before_id=found[-1] if found else None, limit=3)):
            assert len(page) <= 3
            found += page
        assert found == sorted(made, reverse=True)

    async def test_an_owner_lists_only_what_it_owns(self, store: Store) -> None:
        """None is the operator, who sees all; the empty owner is an owner too."""
        anns = await submitted(store, owner="ann")
        nobodys = await submitted(store)
        assert await _ids(store, ListQuery(owner="ann")) == [anns.id]
        assert await _ids(store, ListQuery(owner="")) == [nobodys.id]
        assert await _ids(store, ListQuery(owner="an_")) == []
        assert set(await _ids(store, ListQuery(owner=None))) == {anns.id, nobodys.id}

    async def test_a_list_keeps_the_statuses_asked_for(self, store: Store) -> None:
        """No status named means every status."""
        ids = {status: (await brought_to(store, status)).id for status in Status}
        for status in Status:
            assert await _ids(store, ListQuery(owner=None, statuses=(status,))) == [ids[status]]
        two = ListQuery(owner=None, statuses=(Status.QUEUED, Status.FAILED))
        assert set(await _ids(store, two)) == {ids[Status.QUEUED], ids[Status.FAILED]}
        assert len(await _ids(store, ListQuery(owner=None))) == len(Status)

    async def test_a_list_keeps_the_kind_asked_for(self, store: Store) -> None:
        """By its whole name."""
        invoice = await submitted(store, kind="invoice")
        await submitted(store, kind="invoice.draft")
        assert await _ids(store, ListQuery(owner=None, kind="invoice")) == [invoice.id]

    async def test_a_list_keeps_the_tags_asked_for(self, store: Store) -> None:
        """All of them, each with its whole value; names may hold any character."""
        both = await submitted(store, metadata={"team.name": "a", 'quo"te': "b"})
        await submitted(store, metadata={"team.name": "a"})
        await submitted(store, metadata={"team.name": "ab", 'quo"te': "b"})
        assert await _ids(store, ListQuery(owner=None, tags={"team.name": "a", 'quo"te': "b"})) == [both.id]
        assert await _ids(store, ListQuery(owner=None, tags={"absent": ""})) == []

    async def test_a_list_keeps_the_time_asked_for(self, store: Store) -> None:
        """Created in between."""
        _, wanted, _ = [await submitted(store, created=NOW + n * DAY) for n in (0, 1, 2)]
        query = ListQuery(owner=None, created_after=NOW + DAY - SECOND, created_before=NOW + DAY + SECOND)
        assert await _ids(store, query) == [wanted.id]

    async def test_a_list_judges_the_time_of_creation_not_of_the_id(self, store: Store) -> None:
        """An id is made before the request's files are stored, so it may be a little older."""
        slow = await submitted(store, created=NOW, created_at=NOW + SECOND)
        cases = {(NOW + SECOND, None): True, (NOW + 2 * SECOND, None): False, (None, NOW + SECOND): False}
        for (after, before), shown in cases.items():
            query = ListQuery(owner=None, created_after=after, created_before=before)
            assert await _ids(store, query) == ([slow.id] if shown else [])

    async def test_filters_of_a_list_all_apply(self, store: Store) -> None:
        """A row must pass each of them."""
        wanted = await submitted(store, owner="ann", kind="invoice", metadata={"k": "v"})
        await submitted(store, owner="bob", kind="invoice", metadata={"k": "v"})
        await submitted(store, owner="ann", kind="report", metadata={"k": "v"})
        await submitted(store, owner="ann", kind="invoice", metadata={"k": "w"})
        query = ListQuery(owner="ann", kind="invoice", tags={"k": "v"}, statuses=(Status.QUEUED,))
        assert await _ids(store, query) == [wanted.id]

    async def test_a_list_carries_no_input_and_no_result_bytes(self, store: Store) -> None:
        """A page of two hundred must not read two hundred bodies."""
        operation = await submitted(store, input='{"body": "large"}')
        await start(store, operation.id)
        await succeed(store, operation.id)
        [listed] = await store.list_page(ListQuery(owner=None))
        assert isinstance(listed, Operation)
        assert listed.input == "{}"
        assert listed.result is not None
        assert (listed.result.body, listed.result.size) == (None, 12)


async def _ids(store: Store, query: ListQuery) -> list[str]:
    return [operation.id for operation in await store.list_page(query)]
