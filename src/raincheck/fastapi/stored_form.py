"""Form fields and uploaded files, as the store keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from starlette.datastructures import FormData, Headers, UploadFile

from raincheck.core.fingerprint import FormEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from raincheck.ports import Blob

CHUNK = 1 << 20
_EMPTY_SHA256 = hashlib.sha256().hexdigest()


@dataclass(slots=True)
class CapturedForm:
    """What of a form is stored, and what of it counts for the fingerprint."""

    items: list[list[Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    entries: list[FormEntry] = field(default_factory=list)
    uploads: bool = False


async def capture_form(
    form: FormData,
    keys: frozenset[str] | None,
    put_blob: Callable[[str, AsyncIterator[bytes]], Awaitable[Blob]],
) -> CapturedForm:
    """Store the uploads of a form and return its fields in order.

    :param keys: the fields that the function reads, None for all. Others, such as a dependency's password, are not
        stored but count for the fingerprint.
    """
    captured = CapturedForm()
    for name, value in form.multi_items():
        wanted = keys is None or name in keys
        if isinstance(value, str):
            captured.entries.append(FormEntry(name=name, text=value))
            if wanted:
                captured.items.append([name, value])
        elif wanted:
            await _capture_upload(captured, name, value, put_blob)
        else:
            captured.entries.append(FormEntry(name=name, filename=value.filename, sha256=await _sha256(value)))
    return captured


async def _capture_upload(
    captured: CapturedForm,
    name: str,
    upload: UploadFile,
    put_blob: Callable[[str, AsyncIterator[bytes]], Awaitable[Blob]],
) -> None:
    stored: dict[str, Any] = {"filename": upload.filename, "size": upload.size, "headers": upload.headers.items()}
    sha256 = _EMPTY_SHA256
    if upload.size != 0:
        blob = await put_blob(f"file-{len(captured.files)}", chunks_of(upload))
        stored["blob"] = blob.name
        captured.files.append(blob.name)
        sha256 = blob.sha256
    captured.items.append([name, stored])
    captured.entries.append(FormEntry(name=name, filename=upload.filename, sha256=sha256))
    captured.uploads = True


async def chunks_of(upload: UploadFile) -> AsyncIterator[bytes]:
    """Yield the whole file and leave its position as it was; a dependency may be reading it too."""
    position = upload.file.tell()
    await upload.seek(0)
    while chunk := await upload.read(CHUNK):
        yield chunk
    await upload.seek(position)


async def _sha256(upload: UploadFile) -> str:
    digest = hashlib.sha256()
    async for chunk in chunks_of(upload):
        digest.update(chunk)
    return digest.hexdigest()


def restore_form(items: Sequence[Sequence[Any]], files: Mapping[str, Path]) -> FormData:
    """Return the form again, its files open. The caller closes them with ``close_files``.

    :raises KeyError: a stored file is not among ``files``.
    """
    fields: list[tuple[str, UploadFile | str]] = []
    try:
        for name, stored in items:
            fields.append((name, stored if isinstance(stored, str) else _restored_upload(stored, files)))
    except BaseException:
        close_files(FormData(fields))
        raise
    return KeptForm(fields)


class KeptForm(FormData):
    """A form whose files outlive the request; FastAPI closes a form when its request ends."""

    async def close(self) -> None:
        """Leave the files open for the function."""


def close_files(form: FormData) -> None:
    """Close every file of a form."""
    for _, value in form.multi_items():
        if isinstance(value, UploadFile):
            value.file.close()


def _restored_upload(stored: Mapping[str, Any], files: Mapping[str, Path]) -> UploadFile:
    file = files[stored["blob"]].open("rb") if "blob" in stored else BytesIO()
    return UploadFile(
        file,
        size=stored["size"],
        filename=stored["filename"],
        headers=Headers(raw=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in stored["headers"]]),
    )
