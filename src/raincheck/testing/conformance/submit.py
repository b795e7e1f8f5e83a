"""Promise 1 of OperationStore: submits and their idempotency keys."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from raincheck.core import transitions
from raincheck.core.operation import Operation, Status
from raincheck.core.trace_context import TraceContext
from raincheck.ports import Accepted, KeyConflict, Replayed, Tombstone
from raincheck.testing.conformance.specimens import DAY, NOW, SECOND, Store, an_operation, brought_to, record_of

_KEY: dict[str, Any] = {"idempotency_key": "key-1", "fingerprint": "print-1"}


class SubmitConformance:
    """Submitting is durable, and a key belongs to one operation."""

    pytestmark = pytest.mark.anyio

    async def test_a_submitted_operation_reads_back_with_every_field(self, store: Store) -> None:
        """Nothing that the caller gave is lost or changed on the way through the store."""
        operation = an_operation(
            kind="print.report",
            owner="häuser & söhne",
            max_attempts=3,
            max_losses=5,
            queue="slow",
            priority=-2,
            run_at=NOW + 60 * SECOND,
            scheduled_for=NOW + 60 * SECOND,
            deadline_at=NOW + DAY,
            retention=timedelta(days=2, milliseconds=5),
            metadata={"ticket": "Ü-\u2028-\x00", "empty": ""},
            rerun_of=an_operation().id,
            idempotency_key="key-1",
            fingerprint="print-1",
            trace=TraceContext(f"00-{'ab' * 16}-{'cd' * 8}-01", 'vendor="1",other=x'),
            input='{"body": "\\u0000"}',
        )
        assert await store.submit(operation) == Accepted(operation)
        assert await store.get(operation.id) == operation

    async def test_two_submits_without_a_key_are_two_operations(self, store: Store) -> None:
        """Equal requests are not the same request."""
        first, second = an_operation(), an_operation()
        assert await store.submit(first) == Accepted(first)
        assert await store.submit(second) == Accepted(second)
        assert await store.queue_depth(limit=10) == 2

    @pytest.mark.parametrize("status", list(Status))
    async def test_the_same_key_and_fingerprint_give_the_same_operation(self, store: Store, status: Status) -> None:
        """Whether it waits, runs or is done."""
        earlier = await brought_to(store, status, **_KEY)
        repeated = an_operation(**_KEY)
        assert await store.submit(repeated) == Replayed(earlier)
        assert await store.get(repeated.id) is None

    @pytest.mark.parametrize("status", list(Status))
    async def test_the_same_key_with_another_fingerprint_is_a_conflict(self, store: Store, status: Status) -> None:
        """The key names one request; another request must not get its answer."""
        earlier = await brought_to(store, status, **_KEY)
        refused = an_operation(idempotency_key="key-1", fingerprint="print-2")
        assert await store.submit(refused) == KeyConflict(earlier)
        assert await store.get(refused.id) is None

    @pytest.mark.parametrize("other", [{"owner": "bob"}, {"kind": "invoice"}, {"idempotency_key": "key-2"}])
    async def test_a_key_counts_within_one_owner_and_one_kind(self, store: Store, other: dict[str, str]) -> None:
        """Nobody can block or read another owner's operation with a guessed key."""
        await store.submit(an_operation(**_KEY))
        different = an_operation(**(_KEY | other))
        assert await store.submit(different) == Accepted(different)

    async def test_the_key_of_a_deleted_operation_gives_its_tombstone(self, store: Store) -> None:
        """A repeated request must not run again what its owner has deleted."""
        gone = await brought_to(store, Status.SUCCEEDED, owner="ann", **_KEY)
        await store.delete(gone.id, check=transitions.refuse_delete, now=NOW)
        assert await store.submit(an_operation(owner="ann", **_KEY)) == Tombstone(gone.id, "ann", "deleted")
        assert await store.queue_depth(limit=10) == 0

    async def test_a_key_is_free_again_when_the_tombstone_is_dropped(self, store: Store) -> None:
        """Keys do not fill the store for ever."""
        gone = await brought_to(store, Status.SUCCEEDED, **_KEY)
        await store.delete(gone.id, check=transitions.refuse_delete, now=NOW)
        await store.prune(NOW + 8 * DAY)
        fresh = an_operation(**_KEY)
        assert await store.submit(fresh) == Accepted(fresh)

    async def test_two_hundred_concurrent_submits_with_one_key_give_one_operation(self, store: Store) -> None:
        """The store decides the race, in the operation's own transaction."""
        answers = await asyncio.gather(*[store.submit(an_operation(**_KEY)) for _ in range(200)])
        assert Counter(type(answer) for answer in answers) == {Accepted: 1, Replayed: 199}
        assert len({answer.operation.id for answer in answers if not isinstance(answer, Tombstone)}) == 1
        assert await store.queue_depth(limit=10) == 1

    async def test_a_conflict_fails_no_other_submit_of_its_batch(self, store: Store) -> None:
        """Submits that share a commit do not share an error."""
        await store.submit(an_operation(**_KEY))
        fresh = [an_operation(), an_operation(idempotency_key="key-2", fingerprint="f"), an_operation(owner="bob")]
        conflicts = [an_operation(idempotency_key="key-1", fingerprint=f"other-{number}") for number in range(3)]
        mixed = [each for pair in zip(fresh, conflicts, strict=True) for each in pair]
        answers = await asyncio.gather(*[store.submit(operation) for operation in mixed])
        assert answers[::2] == [Accepted(operation) for operation in fresh]
        assert all(isinstance(answer, KeyConflict) for answer in answers[1::2])
        for operation in fresh:
            assert await record_of(store, operation.id) == operation

    async def test_a_transition_that_raises_fails_no_submit_of_its_batch(self, store: Store) -> None:
        """Not even a bug in one caller's transition reaches another caller."""
        victim = an_operation()
        await store.submit(victim)

        def broken(_: Operation) -> None:
            msg = "a bug"
            raise ZeroDivisionError(msg)

        fresh = [an_operation() for _ in range(3)]
        submits = [store.submit(operation) for operation in fresh]
        failure, *answers = await asyncio.gather(store.change(victim.id, broken), *submits, return_exceptions=True)
        assert isinstance(failure, ZeroDivisionError)
        assert answers == [Accepted(operation) for operation in fresh]
