"""What the tail of a process looks at for all its readers: versions, and what of an owner has changed."""

from __future__ import annotations

import pytest

from raincheck.core import transitions
from raincheck.core.events import Output
from raincheck.core.operation import Status
from raincheck.testing.conformance.specimens import (
    DAY,
    NOW,
    SECOND,
    Store,
    an_operation,
    brought_to,
    record_of,
    start,
    started,
    submitted,
    succeed,
)


class LookingConformance:
    """``versions`` and ``changed_since`` tell what to read, without reading it."""

    pytestmark = pytest.mark.anyio

    async def test_versions_are_those_of_the_records(self, store: Store) -> None:
        """Ids without a record are left out, whatever they are."""
        first, second = await started(store), await submitted(store)
        deleted = await brought_to(store, Status.SUCCEEDED)
        await store.delete(deleted.id, check=lambda _: None, now=NOW)
        unknown = [an_operation().id, "", "nonsense", "'; DROP TABLE operations; --", deleted.id]
        assert await store.versions([first.id, second.id, *unknown]) == {first.id: 2, second.id: 1}
        assert await store.versions([]) == {}

    async def test_versions_of_many_come_at_once(self, store: Store) -> None:
        """A process may have thousands of readers."""
        ids = [(await submitted(store)).id for _ in range(50)]
        found = await store.versions([*ids, *(an_operation().id for _ in range(5000))])
        assert found == dict.fromkeys(ids, 1)

    async def test_a_version_rises_with_every_change_and_not_without(self, store: Store) -> None:
        """It is the version of the newest event."""
        operation = await started(store)
        await store.change(operation.id, lambda _: None)
        assert await store.versions([operation.id]) == {operation.id: 2}
        entries = [Output("1"), Output("2")]
        await store.change(operation.id, lambda found: transitions.record(found, run=1, entries=entries, now=NOW))
        assert await store.versions([operation.id]) == {operation.id: 4}
        await succeed(store, operation.id)
        [(record, events)] = (await store.events_after({operation.id: 0})).values()
        assert (
            await store.versions([operation.id]) == {operation.id: record.version} == {operation.id: events[-1].version}
        )

    async def test_what_changed_since_a_moment_is_found_in_every_status(self, store: Store) -> None:
        """The change at the very moment counts: another may come in the same millisecond."""
        for status in Status:
            operation = await brought_to(store, status, owner=status.value)
            assert [each.id for each in await store.changed_since(status.value, NOW)] == [operation.id]
            assert await store.changed_since(status.value, NOW + SECOND) == []
            assert len(await store.changed_since(status.value, NOW - DAY)) == 1

    async def test_changes_of_others_are_not_found(self, store: Store) -> None:
        """An owner is compared as it is written."""
        mine = await submitted(store, owner="me")
        for other in ("", "Me", "me ", "m_", "%"):
            await submitted(store, owner=other)
        assert [each.id for each in await store.changed_since("me", NOW)] == [mine.id]
        assert await store.changed_since("nobody", NOW) == []

    async def test_the_oldest_change_comes_first(self, store: Store) -> None:
        """So that a reader of a page goes on from its last one."""
        first, second, third = [await submitted(store, owner="me", created=NOW + n * SECOND) for n in range(3)]
        await start(store, first.id, now=NOW + 5 * SECOND)
        found = await store.changed_since("me", NOW)
        assert [each.id for each in found] == [second.id, third.id, first.id]
        assert [each.id for each in await store.changed_since("me", NOW, limit=2)] == [second.id, third.id]
        assert [each.id for each in await store.changed_since("me", NOW + 2 * SECOND)] == [third.id, first.id]

    async def test_what_is_found_has_no_inputs_and_results(self, store: Store) -> None:
        """They may be megabytes, and only the status is shown."""
        operation = await submitted(store, owner="me", input='{"large": 1}')
        await start(store, operation.id)
        await succeed(store, operation.id)
        [found] = await store.changed_since("me", NOW)
        record = await record_of(store, operation.id)
        assert (found.id, found.version, found.status, found.run) == (operation.id, 3, Status.SUCCEEDED, 1)
        assert found.finished_at == record.finished_at
        assert found.result is not None
        assert (found.result.body, found.input) == (None, "{}")
        assert record.input == '{"large": 1}'
