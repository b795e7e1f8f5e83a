"""Raincheck: settings become parts; parts start, stop and drain with the application."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from fastapi import FastAPI

from raincheck import settings as settings_module
from raincheck.core.errors import ConfigurationError, DefinitionError
from raincheck.dashboard.routes import dashboard_routes
from raincheck.engine_choice import chosen_engine
from raincheck.fastapi import given
from raincheck.fastapi.access import owner_parameter
from raincheck.fastapi.delivery_documents import add_webhooks
from raincheck.fastapi.health import health_routes
from raincheck.fastapi.metrics import metrics_routes
from raincheck.fastapi.registration import Registry
from raincheck.fastapi.router import OperationRouter, operation_decorator
from raincheck.fastapi.routing import operation_routes
from raincheck.fastapi.serving import Gateway
from raincheck.parts import Parts
from raincheck.watching import check_prometheus
from raincheck.webhooks.policy import checked_policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from starlette.types import ASGIApp

    from raincheck.core.endpoints import Callbacks, Webhook, WebhookPolicy
    from raincheck.fastapi.router import OperationOptions
    from raincheck.ports_engines import Engine
    from raincheck.ports_functions import Kind
    from raincheck.settings import Settings

F = TypeVar("F", bound="Callable[..., Any]")
logger = logging.getLogger("raincheck")


class Raincheck:
    """Turns slow FastAPI endpoints into durable operations.

    Constructing is inert: nothing is opened before the application's lifespan, so a child process may import the
    module for free.

    :param app: the application to install on; or call ``install(app)`` later, once.
    :param store: ``sqlite:///path``, ``postgresql://user@host/database`` or ``memory:``; every keyword can also be set
        as ``RAINCHECK_*``.
    :param engine: who brings queued operations to workers: ``embedded`` (the default on SQLite), ``pgqueuer`` (the
        default on PostgreSQL), ``procrastinate``, ``taskiq``, ``celery``, or an Engine.
    :param workers: False: this process accepts and serves; ``raincheck worker module:rain`` runs the work.
    :param dependencies: FastAPI dependencies that guard all operation routes.
    :param owner: a FastAPI dependency that returns a non-empty str; callers see only what they own.
    :param callbacks: lets callers name a URL that hears of their operation (``Callback-Url``).
    :param webhooks: endpoints that hear of every operation.
    :param public_url: the URL under which clients reach the application; needed with webhooks, for their links.
    :param dashboard: a FastAPI dependency that guards the operator's page at ``{prefix}/dashboard``; None: no page. It
        raises to refuse, returns ``raincheck.dashboard.Operator(name)`` to let act, and anything else to let look.
    :param metrics: a FastAPI dependency that guards ``{prefix}/metrics`` for Prometheus; None: no such route.
    :param prefix: path before ``/operations``.
    :raises ConfigurationError: a setting cannot be used.
    """

    def __init__(
        self,
        app: FastAPI | None = None,
        *,
        store: str | None = None,
        engine: str | Engine | None = None,
        workers: bool | None = None,
        dependencies: Sequence[Any] = (),
        owner: Callable[..., Any] | None = None,
        callbacks: Callbacks | None = None,
        webhooks: Sequence[Webhook] = (),
        public_url: str | None = None,
        dashboard: Callable[..., Any] | None = None,
        metrics: Callable[..., Any] | None = None,
        prefix: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings_module.load(
            settings,
            store=store,
            engine=engine if isinstance(engine, str) else None,
            workers=workers,
            public_url=public_url,
            prefix=prefix,
        )
        # An unknown URL and an engine that does not fit are refused here, before anything is opened.
        self._engine = chosen_engine(None if isinstance(engine, str) else engine, self.settings)
        _ = self.settings.executor_names
        prefix = self.settings.prefix
        given.check_prefix(prefix)
        given.check_guards(dependencies, owner=owner, dashboard=dashboard, metrics=metrics)
        given.check_webhooks(callbacks, webhooks)
        if metrics is not None:
            check_prometheus()
        if self._engine is not None:
            self._engine.attach(self.working)
        self._working = False
        self._owner = owner
        self._dashboard = dashboard
        self._metrics = metrics
        self._dependencies = tuple(dependencies)
        self._policy = checked_policy(
            callbacks=callbacks, webhooks=webhooks, public_url=self.settings.public_url.rstrip("/")
        )
        self._gateway = Gateway(prefix=prefix, delivered=bool(self._policy.webhooks))
        self._registry = Registry(
            gateway=self._gateway,
            owner_annotation=None if owner is None else owner_parameter(owner),
            max_body=self.settings.max_body,
            callbacks=callbacks is not None,
        )
        self._app: FastAPI | None = None
        self._entered = 0
        if app is not None:
            self.install(app)

    # --- the application ----------------------------------------------------------------------------------------

    def install(self, app: FastAPI) -> None:
        """Add the operation routes and the lifespan to an application, once.

        :raises ConfigurationError: it is installed already, or this is no application of its own.
        """
        if self._app is not None:
            msg = "This Raincheck is installed already. Make one Raincheck an application, and install it once."
            raise ConfigurationError(msg)
        given.check_application(app, operations=f"{self._gateway.prefix}/operations")
        self._app = app
        routes = operation_routes(
            self._gateway,
            application=app,
            owner=self._owner,
            dependencies=self._dependencies,
            allowed_origins=self.settings.allowed_origin_list,
            webhooks=bool(self._policy),
        )
        add_webhooks(app.webhooks, {event for webhook in self._policy.webhooks for event in webhook.events})
        app.router.routes.append(routes.live)
        if self.settings.health:
            app.router.routes.append(health_routes(self._gateway))
        for router in routes.routers:
            app.include_router(router)
        if self._dashboard is not None:
            page = dashboard_routes(self._gateway, guard=self._dashboard, kinds=self._registry.kinds)
            app.include_router(page)
        if self._metrics is not None:
            app.include_router(metrics_routes(self._gateway, guard=self._metrics))
        outer = app.router.lifespan_context

        @contextlib.asynccontextmanager
        async def lifespan(running: FastAPI) -> AsyncIterator[Any]:
            async with outer(running) as state, self.running(app):
                yield state

        app.router.lifespan_context = lifespan

    @contextlib.asynccontextmanager
    async def running(self, app: FastAPI | None = None, *, workers: bool | None = None) -> AsyncIterator[None]:
        """Open everything, and close it at the end; entered twice, it starts once."""
        self._entered += 1
        try:
            if self._entered > 1:
                yield
                return
            self._warn_unguarded()
            work = self.settings.workers if workers is None else workers
            if self._engine is not None and not self._engine.hosts_workers:
                work = self._working  # workers are processes of the engine's own
            parts = Parts(
                self.settings,
                kinds=self._registry.kinds,
                app=app or self._app,
                workers=work,
                policy=self._policy,
                engine=self._engine,
                metrics=self._metrics is not None,
            )
            async with parts:
                self._gateway.serving = parts.serving
                try:
                    yield
                finally:
                    try:
                        await parts.drain()
                    finally:
                        self._gateway.serving = None
        finally:
            self._entered -= 1

    @contextlib.asynccontextmanager
    async def working(
        self,
        *,
        queues: str | None = None,
        executors: str | None = None,
        slots: Mapping[str, int] | None = None,
    ) -> AsyncIterator[None]:
        """Run work without serving requests, as ``raincheck worker`` does, also where the settings switch workers off.

        The application's own lifespan is entered, so that functions find what it opens.

        :param queues: the queues to work on, separated by commas, instead of the settings' own.
        :param executors: the executors that run operations here, separated by commas, likewise.
        :param slots: how many operations each executor runs at once, likewise.
        """
        sizes = {f"{name}_slots": number for name, number in (slots or {}).items()}
        self.settings = settings_module.load(self.settings, workers=True, queues=queues, executors=executors, **sizes)
        self._working = True
        lifespan = self.running() if self._app is None else self._app.router.lifespan_context(self._app)
        async with lifespan:
            yield

    def watching_application(self) -> ASGIApp:
        """Return an application with the probes and the metrics alone, for a process that serves nothing else."""
        app = FastAPI(openapi_url=None)
        app.router.routes.append(health_routes(self._gateway))
        if self._metrics is not None:
            app.include_router(metrics_routes(self._gateway, guard=self._metrics))
        return app

    # --- what operators ask -------------------------------------------------------------------------------------

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """All decorated functions by their durable names."""
        return self._registry.kinds

    @property
    def engine(self) -> Engine | None:
        """Who brings queued operations to workers; None: the embedded engine, which needs nobody."""
        return self._engine

    @property
    def webhook_policy(self) -> WebhookPolicy:
        """What is configured about webhooks."""
        return self._policy

    @property
    def unguarded(self) -> tuple[str, ...]:
        """Functions whose submit is guarded while the operation routes are open to whoever learns an id."""
        if self._owner is not None or self._dependencies:
            return ()
        return tuple(self._registry.guarded)

    def _warn_unguarded(self) -> None:
        if self.unguarded:
            logger.warning(
                "%s is guarded by dependencies, but the operation routes are not: whoever learns an id may read and "
                "cancel it. Pass dependencies= or owner= to Raincheck().",
                ", ".join(self.unguarded),
            )

    # --- the decorators -----------------------------------------------------------------------------------------

    def router(self, **options: Any) -> OperationRouter:
        """Return an OperationRouter for a feature module; ``app.include_router(it)`` adds it."""
        return OperationRouter(self._registry, **options)

    def get(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a GET operation; browsers and crawlers prefetch GET routes, so prefer POST."""
        return self._decorator("GET", path, dict(options))

    def post(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a POST operation."""
        return self._decorator("POST", path, dict(options))

    def put(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a PUT operation."""
        return self._decorator("PUT", path, dict(options))

    def patch(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a PATCH operation."""
        return self._decorator("PATCH", path, dict(options))

    def delete(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a DELETE operation."""
        return self._decorator("DELETE", path, dict(options))

    def _decorator(self, method: str, path: str, options: dict[str, Any]) -> Callable[[F], F]:
        if self._app is None:
            msg = (
                f"rain.{method.lower()}({path!r}) needs an application: construct Raincheck(app), or make a router "
                "with `router = rain.router()`, decorate with it, and include it in the application."
            )
            raise DefinitionError(msg)
        return operation_decorator(self._app.router, self._registry, method, path, options)
