"""What an application hands to ``Raincheck``, checked where it is written, with the remedy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, params

from raincheck.core.endpoints import Callbacks, Webhook
from raincheck.core.errors import ConfigurationError
from raincheck.fastapi.callables import full_name
from raincheck.fastapi.turning_away import RoutesUnder

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREFIX = re.compile(r"(/[^/{}?#\s]+)*")


def check_prefix(prefix: str) -> None:
    """Check the path before ``/operations``.

    :raises ConfigurationError: links made of it would lead nowhere.
    """
    if not _PREFIX.fullmatch(prefix):
        msg = (
            f"prefix={prefix!r} must start with a slash and not end with one, such as '/api', and be the same for all "
            "requests: it takes no {parameters}, blanks, ? or #."
        )
        raise ConfigurationError(msg)


def check_guards(dependencies: Sequence[Any], **single: Any) -> None:
    """Check who guards the operation routes, and the keywords that take one dependency each.

    :raises ConfigurationError: one is no dependency, or has a ``Depends`` too many or too few.
    """
    for name, given in single.items():
        _check_dependency(name, given)
    _check_dependencies(dependencies)


def _check_dependency(name: str, given: Any) -> None:
    if given is None or callable(given):
        return
    msg = f"{name}={given!r} is no dependency; pass a function, or another callable, that FastAPI can call."
    if isinstance(given, params.Depends):
        inner = "…" if given.dependency is None else full_name(given.dependency)
        msg = f"{name}=Depends({inner}) is one Depends too many. Pass the dependency itself: {name}={inner}."
    raise ConfigurationError(msg)


def _check_dependencies(given: Sequence[Any]) -> None:
    for each in given:
        if not isinstance(each, params.Depends):
            shown = full_name(each) if callable(each) else repr(each)
            msg = (
                f"dependencies=[{shown}] takes what FastAPI's own keyword takes. Write dependencies=[Depends({shown})]."
            )
            raise ConfigurationError(msg)


def check_webhooks(callbacks: Any, webhooks: Any) -> None:
    """Check what is said of webhooks, before their values are.

    :raises ConfigurationError: it is no ``Callbacks``, or no sequence of ``Webhook``.
    """
    if callbacks is not None and not isinstance(callbacks, Callbacks):
        msg = f"callbacks={callbacks!r} is no Callbacks. Write callbacks=Callbacks(secret=…, allow=…)."
        raise ConfigurationError(msg)
    if not isinstance(webhooks, (list, tuple)) or not all(isinstance(each, Webhook) for each in webhooks):
        msg = f"webhooks={webhooks!r} is no list of Webhook. Write webhooks=[Webhook(url=…, secret=…)]."
        raise ConfigurationError(msg)


def check_application(app: Any, *, operations: str) -> None:
    """Check what is installed on.

    :param operations: where the operations are going to be.
    :raises ConfigurationError: it is no FastAPI application, or has operation routes under this prefix.
    """
    if not isinstance(app, FastAPI):
        msg = f"Raincheck is installed on a FastAPI application, not on {app!r}. Feature modules use rain.router()."
        raise ConfigurationError(msg)
    if any(isinstance(route, RoutesUnder) and route.under == operations for route in app.router.routes):
        msg = (
            f"This application has another Raincheck whose operations are at {operations}; only one of them would "
            "answer. Use one Raincheck for all its routes, or give this one a prefix= of its own."
        )
        raise ConfigurationError(msg)
