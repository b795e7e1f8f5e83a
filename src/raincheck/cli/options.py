"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="The store, as sqlite:///path. Default: RAINCHECK_STORE."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="The server, instead of the store. Default: RAINCHECK_URL.")
]
Headers = Annotated[
    list[str] | None, typer.Option("--header", metavar="'NAME: VALUE'", help="Sent to the server; may be repeated.")
]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="The operations.", show_default=False)]
Id = Annotated[str, typer.Argument(metavar="ID", help="The operation.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to this file.")]
AllMatching = Annotated[bool, typer.Option("--all-matching", help="All that match the options below.")]
Owner = Annotated[str | None, typer.Option(help="Only this owner's; '' for those without one.")]
OfKind = Annotated[str | None, typer.Option(help="Only this kind.")]
