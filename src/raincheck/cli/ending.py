"""How commands end: exit codes, and one line of words or of JSON instead of a traceback."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from raincheck.core.errors import ConfigurationError, RaincheckError

PROBLEM = 1
USAGE = 2
NO_RESULT = 3
INTERRUPTED = 130

_AS_JSON = "raincheck.json"
# What the parser raises: Typer exports one of its subclasses alone.
_ParserError: Any = typer.BadParameter.__base__


class UsageError(ConfigurationError):
    """An argument that cannot be used."""

    code = "usage-error"


class Commands(TyperGroup):
    """A group whose commands may raise RaincheckError: exit code 2 for a wrong argument, 1 for all else."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note whether errors are wanted as JSON, before anything can be wrong."""
        ctx.meta[_AS_JSON] = ctx.meta.get(_AS_JSON, False) or "--json" in args
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def invoke(self, ctx: Any) -> Any:
        """Run a command and end with one line on stderr where it raises."""
        as_json = ctx.meta[_AS_JSON]
        try:
            return super().invoke(ctx)
        except RaincheckError as error:
            tell_error(str(error), code=error.code, as_json=as_json)
            raise typer.Exit(USAGE if isinstance(error, UsageError) else PROBLEM) from error
        except _ParserError as error:
            if not as_json:
                raise
            tell_error(error.format_message(), code=UsageError.code, as_json=True)
            raise typer.Exit(USAGE) from error


def tell_error(message: str, *, code: str, as_json: bool, **fields: Any) -> None:
    """Print one line on stderr: red words, or ``{"error": {"code", "message"}}`` with whatever else is known."""
    message = " ".join(message.split())
    if as_json:
        print(json.dumps({"error": {"code": code, "message": message, **fields}}), file=sys.stderr, flush=True)
    else:
        typer.secho(f"error: {message}", fg="red", err=True)
