"""How commands end: exit codes, and one red line instead of a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from raincheck.core.errors import ConfigurationError, RaincheckError

PROBLEM = 1
USAGE = 2
NO_RESULT = 3
INTERRUPTED = 130


class UsageError(ConfigurationError):
    """An argument that cannot be used."""

    code = "usage-error"


class Commands(TyperGroup):
    """A group whose commands may raise RaincheckError: exit code 2 for a wrong argument, 1 for all else."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command and end with one line on stderr where it raises."""
        try:
            return super().invoke(ctx)
        except RaincheckError as error:
            message = " ".join(str(error).split())
            typer.secho(f"error: {message}", fg="red", err=True)
            raise typer.Exit(USAGE if isinstance(error, UsageError) else PROBLEM) from error
