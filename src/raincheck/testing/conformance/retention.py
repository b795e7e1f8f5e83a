"""Deleting and expiring: what stays, and for how long."""

from __future__ import annotations

import pytest

from raincheck.core import transitions
from raincheck.core.errors import OperationNotFinished
from raincheck.core.operation import Status
from raincheck.ports import ListQuery, Tombstone
from raincheck.testing.conformance.specimens import DAY, NOW, SECOND, Store, an_operation, brought_to, record_of

_UNFINISHED = [status for status in Status if not status.done]
_FINISHED = [status for status in Status if status.done]


class RetentionConformance:
    """A finished operation leaves a tombstone for its owner; an unfinished one never goes."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("status", _FINISHED)
    async def test_a_deleted_operation_leaves_a_tombstone(self, store: Store, status: Status) -> None:
        """The owner learns that it was there; the record, its events and its place in lists are gone."""
        record = await brought_to(store, status, owner="ann")
        await store.delete(record.id, check=transitions.refuse_delete, now=NOW)
        assert await store.get(record.id) == Tombstone(record.id, "ann", "deleted")
        assert await store.events_after({record.id: 0}) == {}
        assert await store.list_page(ListQuery(owner="ann")) == []

    @pytest.mark.parametrize("status", _UNFINISHED)
    async def test_a_refused_delete_changes_nothing(self, store: Store, status: Status) -> None:
        """What the check raises reaches the caller."""
        record = await brought_to(store, status)
        with pytest.raises(OperationNotFinished):
            await store.delete(record.id, check=transitions.refuse_delete, now=NOW)
        assert await record_of(store, record.id) == record

    async def test_deleting_an_unknown_id_raises_key_error(self, store: Store) -> None:
        """Deleting twice too."""
        record = await brought_to(store, Status.FAILED)
        await store.delete(record.id, check=transitions.refuse_delete, now=NOW)
        for operation_id in (record.id, an_operation().id):
            with pytest.raises(KeyError):
                await store.delete(operation_id, check=transitions.refuse_delete, now=NOW)

    @pytest.mark.parametrize("status", _FINISHED)
    async def test_an_expired_operation_leaves_a_tombstone(self, store: Store, status: Status) -> None:
        """At the published moment and not before; the answer names what went, so that its blobs can go."""
        record = await brought_to(store, status, owner="ann", retention=2 * DAY)
        assert await store.prune(NOW + 2 * DAY - SECOND) == []
        assert await record_of(store, record.id) == record
        assert await store.prune(NOW + 2 * DAY) == [record.id]
        assert await store.get(record.id) == Tombstone(record.id, "ann", "expired")
        assert await store.events_after({record.id: 0}) == {}

    @pytest.mark.parametrize("status", _UNFINISHED)
    async def test_an_unfinished_operation_never_expires(self, store: Store, status: Status) -> None:
        """However old it is."""
        record = await brought_to(store, status)
        assert await store.prune(NOW + 3650 * DAY) == []
        assert await record_of(store, record.id) == record

    async def test_a_tombstone_stays_for_seven_days(self, store: Store) -> None:
        """Then the id is as unknown as any other."""
        deleted = await brought_to(store, Status.SUCCEEDED)
        await store.delete(deleted.id, check=transitions.refuse_delete, now=NOW)
        await store.prune(NOW + 7 * DAY - SECOND)
        assert isinstance(await store.get(deleted.id), Tombstone)
        await store.prune(NOW + 7 * DAY)
        assert await store.get(deleted.id) is None

    async def test_a_tombstone_of_an_expired_operation_stays_for_seven_days_after_it_went(self, store: Store) -> None:
        """Counted from the pruning, however late that came."""
        expired = await brought_to(store, Status.SUCCEEDED, retention=DAY)
        await store.prune(NOW + 30 * DAY)
        await store.prune(NOW + 37 * DAY - SECOND)
        assert isinstance(await store.get(expired.id), Tombstone)
        await store.prune(NOW + 37 * DAY)
        assert await store.get(expired.id) is None

    async def test_pruning_takes_no_more_than_its_limit(self, store: Store) -> None:
        """A month of backlog must not hold one transaction; the rest goes next time."""
        ids = {(await brought_to(store, Status.SUCCEEDED, retention=DAY)).id for _ in range(3)}
        first = await store.prune(NOW + DAY, limit=2)
        second = await store.prune(NOW + DAY, limit=2)
        assert (len(first), len(second)) == (2, 1)
        assert {*first, *second} == ids
