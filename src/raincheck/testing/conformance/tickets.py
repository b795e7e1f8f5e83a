"""TicketStore: who is let in, how often, and how long."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime, timedelta
from typing import Protocol

import pytest

from raincheck.ports import Ticket, TicketStore
from raincheck.testing.conformance.specimens import NOW, SECOND, Store, an_operation

MINUTE = timedelta(minutes=1)


class TicketsAndOperations(Store, TicketStore, Protocol):
    """A store that keeps tickets too."""


class TicketConformance:
    """A ticket is used once, then only resumes, and ends."""

    pytestmark = pytest.mark.anyio

    async def test_a_ticket_gives_its_operation_and_owner(self, store: TicketsAndOperations) -> None:
        """What it was issued for, and nothing else."""
        first, second = await issued(store, "first"), await issued(store, "second", owner="somebody else")
        assert await use(store, "second") == (second.operation, "somebody else")
        assert await use(store, "first") == (first.operation, first.owner)

    async def test_an_unknown_ticket_gives_nothing(self, store: TicketsAndOperations) -> None:
        """Also for texts that are no digest, and not even to resume."""
        await issued(store, "known")
        for text in ("", "unknown", "' OR 1=1 --", "known", "\x00"):
            assert await store.use(text, resuming=True, now=NOW, until=NOW + MINUTE) is None

    async def test_a_used_ticket_only_resumes(self, store: TicketsAndOperations) -> None:
        """Whoever finds the URL in a log cannot begin with it."""
        ticket = await issued(store)
        assert await use(store) is not None
        assert await use(store) is None
        assert await use(store, resuming=True) == (ticket.operation, ticket.owner)
        assert await use(store) is None

    async def test_a_first_use_may_resume(self, store: TicketsAndOperations) -> None:
        """A page that already has a cursor asks for a ticket too; it counts as the first use."""
        await issued(store)
        assert await use(store, resuming=True) is not None
        assert await use(store) is None

    async def test_a_ticket_runs_out(self, store: TicketsAndOperations) -> None:
        """Its end is the first moment at which it counts no more."""
        await issued(store, until=NOW + SECOND)
        assert await use(store, now=NOW + SECOND) is None
        assert await use(store, now=NOW + SECOND, resuming=True) is None
        assert await use(store, now=NOW + SECOND - timedelta(milliseconds=1)) is not None

    async def test_each_use_sets_the_end_anew(self, store: TicketsAndOperations) -> None:
        """Later while a stream is open, sooner once it is closed."""
        await issued(store, until=NOW + SECOND)
        assert await use(store, until=NOW + MINUTE) is not None
        assert await use(store, now=NOW + MINUTE - SECOND, until=NOW + MINUTE, resuming=True) is not None
        assert await use(store, now=NOW + MINUTE, resuming=True) is None
        assert await use(store, now=NOW, until=NOW + SECOND, resuming=True) is not None
        assert await use(store, now=NOW + SECOND, resuming=True) is None

    async def test_a_refused_use_changes_nothing(self, store: TicketsAndOperations) -> None:
        """Otherwise anybody could keep a used ticket alive."""
        await issued(store)
        assert await use(store, until=NOW + SECOND) is not None
        assert await use(store, until=NOW + MINUTE) is None
        assert await use(store, now=NOW + SECOND, resuming=True) is None

    async def test_of_many_first_uses_at_once_one_counts(self, store: TicketsAndOperations) -> None:
        """The race of the reader with whoever saw its URL."""
        await issued(store)
        found = await asyncio.gather(*[use(store) for _ in range(20)])
        assert sum(each is not None for each in found) == 1

    async def test_the_end_of_a_use_sets_the_end_of_the_ticket(self, store: TicketsAndOperations) -> None:
        """A closed stream leaves a minute to resume it, however long it could have been."""
        await issued(store)
        assert await use(store, until=NOW + MINUTE) is not None
        await store.end_use(_digest("text"), given=NOW + MINUTE, until=NOW + SECOND)
        assert await use(store) is None
        assert await use(store, now=NOW + SECOND, resuming=True) is None
        await store.end_use("unknown", given=NOW, until=NOW + MINUTE)

    async def test_a_use_that_ends_late_takes_nothing_from_a_later_one(self, store: TicketsAndOperations) -> None:
        """A server may notice a lost connection long after its reader has resumed elsewhere."""
        await issued(store)
        assert await use(store, until=NOW + MINUTE) is not None
        assert await use(store, until=NOW + 2 * MINUTE, resuming=True) is not None
        await store.end_use(_digest("text"), given=NOW + MINUTE, until=NOW + SECOND)
        assert await use(store, now=NOW + MINUTE, until=NOW + 2 * MINUTE, resuming=True) is not None

    async def test_old_tickets_do_not_gather(self, store: TicketsAndOperations) -> None:
        """Issuing another one forgets those that have run out, and only those."""
        await issued(store, "old", until=NOW + SECOND)
        await issued(store, "good", until=NOW + MINUTE)
        await issued(store, "new", now=NOW + SECOND, until=NOW + MINUTE)
        assert await use(store, "old") is None
        assert await use(store, "good") is not None


class SharedTicketConformance:
    """Tickets are known to every process that shares the store."""

    pytestmark = pytest.mark.anyio

    async def test_a_ticket_counts_once_over_all_processes(
        self, stores: tuple[TicketsAndOperations, TicketsAndOperations]
    ) -> None:
        """Issued here, used there, and then by nobody from the beginning."""
        here, there = stores
        ticket = await issued(here)
        found = await asyncio.gather(*[use(store) for store in (here, there) * 5])
        assert [each for each in found if each is not None] == [(ticket.operation, ticket.owner)]
        assert await use(here, resuming=True) == await use(there, resuming=True) == (ticket.operation, ticket.owner)


async def issued(
    store: TicketStore,
    text: str = "text",
    *,
    owner: str = "owner",
    now: datetime = NOW,
    until: datetime = NOW + MINUTE,
) -> Ticket:
    """Issue a ticket and return it."""
    ticket = Ticket(_digest(text), an_operation().id, owner, until)
    await store.issue(ticket, now=now)
    return ticket


async def use(
    store: TicketStore,
    text: str = "text",
    *,
    resuming: bool = False,
    now: datetime = NOW,
    until: datetime = NOW + MINUTE,
) -> tuple[str, str] | None:
    """Use the ticket of a text."""
    return await store.use(_digest(text), resuming=resuming, now=now, until=until)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
