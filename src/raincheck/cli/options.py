"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Store = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="The store's URL. Default: RAINCHECK_STORE."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line; errors too.")]
