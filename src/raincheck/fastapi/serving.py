"""What the routes use while the application runs, and nothing before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from raincheck.core.errors import NotStarted
from raincheck.core.wire import Links

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime, timedelta

    from starlette.requests import HTTPConnection

    from raincheck.core.endpoints import Callbacks
    from raincheck.ports import BlobStore, Liveness, OverviewStore, TicketStore
    from raincheck.roles.delivery_desk import DeliveryDesk
    from raincheck.roles.follower import Follower
    from raincheck.roles.handover import Handover
    from raincheck.roles.many_follower import ManyFollower
    from raincheck.roles.owner_follower import OwnerFollower
    from raincheck.roles.readiness import Readiness
    from raincheck.roles.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The running parts that routes talk to."""

    service: Service
    blobs: BlobStore
    handover: Handover
    tickets: TicketStore
    clock: Callable[[], datetime]
    max_body: int
    follow: Callable[[Mapping[str, int]], Follower | ManyFollower]
    when_draining: Callable[[Callable[[], None]], Callable[[], None]]
    follow_owner: Callable[[str | None], OwnerFollower]
    deliveries: DeliveryDesk
    callbacks: Callbacks | None
    overview: OverviewStore
    liveness: Liveness
    lease: timedelta
    readiness: Readiness
    exposition: Callable[[str], Awaitable[tuple[bytes, str]]] | None


class Gateway:
    """Gives routes the running parts, or an error that says why there are none.

    :param prefix: where the operation routes are, below the application's ``root_path``.
    :param delivered: whether every operation has deliveries, because webhooks are configured.
    """

    def __init__(self, *, prefix: str, delivered: bool = False) -> None:
        self.prefix = prefix
        self.delivered = delivered
        self.serving: Serving | None = None

    def parts(self) -> Serving:
        """Return the running parts.

        :raises NotStarted: the application's lifespan did not run.
        """
        if self.serving is None:
            msg = (
                "Raincheck is not running because the application's lifespan did not run. In tests use "
                "`with TestClient(app) as client:`. If this app is mounted inside another one, servers do not run its "
                "lifespan: run it from the outer app's lifespan (`async with inner.router.lifespan_context(inner)`), "
                "or call rain.install() on the outer app."
            )
            raise NotStarted(msg)
        return self.serving

    def links(self, request: HTTPConnection) -> Links:
        """Return the links as this client reaches them."""
        return _links(request.scope.get("root_path", ""), self.prefix, self.delivered)


@lru_cache(maxsize=64)
def _links(root_path: str, prefix: str, delivered: bool) -> Links:  # noqa: FBT001 - lru_cache takes positions quicker
    """Return the links of an application; proxies and mounts give it few root paths."""
    return Links(f"{root_path}{prefix}/operations", delivered)
