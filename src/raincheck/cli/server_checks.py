"""What ``raincheck doctor --url`` asks a server, as its clients meet it: proxies, credentials and clocks included."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from raincheck.cli.findings import ok, problem, warning
from raincheck.cli.server import operations_path, sent_headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx2

    from raincheck.cli.findings import Finding

_PATIENCE = 10.0
_NOBODY = "op_00000000000000000000000000000000"
_SKEW = timedelta(seconds=5)
_SLOW = 1.0


def check_server(url: str, headers: Sequence[str]) -> Iterator[Finding]:
    """Ask the probes and the operation routes; nothing is created or changed.

    :raises UsageError: a header cannot be read, or the extra is missing.
    """
    sent = sent_headers(headers)
    import httpx2  # noqa: PLC0415 - of the extra, and sent_headers has looked for it

    operations = operations_path()
    prefix = operations.removesuffix("/operations")
    with httpx2.Client(base_url=url, headers=sent, timeout=_PATIENCE, follow_redirects=False) as client:
        try:
            began = time.monotonic()
            live = client.get(f"{prefix}/health/live")
            took = time.monotonic() - began
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            remedy = "Check the URL, that the server runs, and that this machine may reach it."
            yield problem("server", f"{url} cannot be reached: {str(error) or type(error).__name__}.", remedy)
            return
        yield from _check_live(url, live, took)
        try:
            yield _check_ready(client.get(f"{prefix}/health/ready"))
            yield _check_operations(client.get(f"{operations}/{_NOBODY}"), operations)
            yield _check_list(client.get(operations, params={"page_size": 1}))
        except httpx2.HTTPError as error:
            remedy = "Look into the server's log; a proxy before it may have ended the connection."
            yield problem("server", f"{url} stopped answering: {str(error) or type(error).__name__}.", remedy)


def _check_live(url: str, answer: httpx2.Response, took: float) -> Iterator[Finding]:
    if took > _SLOW:
        remedy = "Look for functions that block its event loop, and at the network between."
        yield warning("server", f"{url} answers, after {took:.1f} s.", remedy)
    else:
        yield ok("server", f"{url} answers.")
    text = answer.headers.get("date")
    if text is None:
        return
    skew = parsedate_to_datetime(text) - datetime.now(UTC)
    if abs(skew) > _SKEW:
        remedy = "Let both machines keep their time with NTP; deadlines and schedules count by the server's clock."
        yield warning("clock", f"The server's clock differs by {abs(skew).total_seconds():.0f} s.", remedy)
    else:
        yield ok("clock", "The server's clock agrees with this machine's.")


def _check_ready(answer: httpx2.Response) -> Finding:
    if answer.is_success:
        return ok("ready", "The server is ready.")
    code, detail = _problem(answer)
    if code == "not-ready":
        return problem("ready", f"The server is not ready: {detail}", "Its log says more; so does `raincheck doctor`.")
    remedy = "It may be switched off (RAINCHECK_HEALTH), or a proxy keeps it inside; then there is nothing to do."
    return warning("ready", f"The readiness probe answers {answer.status_code}.", remedy)


def _check_operations(answer: httpx2.Response, path: str) -> Finding:
    code, _ = _problem(answer)
    if code == "operation-not-found":
        return ok("operations", f"The operation routes are at {path}.")
    if answer.status_code in {401, 403}:
        remedy = "Set RAINCHECK_TOKEN, or pass --header 'Authorization: …'."
        return problem("operations", f"The server refuses these credentials ({answer.status_code}).", remedy)
    remedy = "Say with RAINCHECK_OPERATIONS where they are, such as /api/operations."
    return problem("operations", f"There are no operation routes at {path} ({answer.status_code}).", remedy)


def _check_list(answer: httpx2.Response) -> Finding:
    if answer.is_success:
        return ok("list", "The caller may list what it owns.")
    if _problem(answer)[0] == "list-disabled":
        remedy = "`ls`, and `watch` without ids, need Raincheck(owner=…) at the server."
        return warning("list", "The server has no owner rule, so nobody may list.", remedy)
    return problem("list", f"Listing answers {answer.status_code}.", "Check the caller's credentials.")


def _problem(answer: httpx2.Response) -> tuple[str, str]:
    """Return the code and the detail of a problem of ours; empty for any other answer."""
    try:
        fields: Any = answer.json()
    except ValueError:
        return "", ""
    if not isinstance(fields, dict):
        return "", ""
    return str(fields.get("type", "")).removeprefix("urn:raincheck:problem:"), str(fields.get("detail", ""))
