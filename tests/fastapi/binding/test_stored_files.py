"""Uploads and large bodies are stored as files, and open while the function runs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from fastapi import Depends, UploadFile

from raincheck.context import OperationContext
from raincheck.core.errors import InputMismatch
from tests.fastapi.binding.functions import FILE, Item, form_fields, many_files, model_body, one_file
from tests.fastapi.binding.harness import Operation, Routes


def test_a_large_body_goes_to_a_blob(tmp_path) -> None:
    """Above 256 KiB the body is a file, and the stored text stays small."""
    operation = Operation(model_body, tmp_path)
    captured = operation.send("/run", json={"name": "x" * 300_000})
    assert captured.files == ("op_test/0/body",)
    assert len(captured.stored) < 200


def test_undeclared_uploads_are_not_kept(tmp_path) -> None:
    """A file under a name that the function does not declare costs no storage."""
    operation = Operation(form_fields, tmp_path)
    captured = operation.send("/run", data={"a": "1"}, files={"junk": ("j", b"junk")})
    assert captured.files == ()


def peek(file: UploadFile) -> None:
    file.file.read(2)


def test_an_upload_is_stored_whole_though_a_dependency_read_of_it(tmp_path) -> None:
    """A dependency that checks the first bytes of a file leaves the function the whole file."""
    operation = Operation(one_file, tmp_path, Routes(dependencies=(Depends(peek),)))
    (name,) = operation.send("/run", files={"file": FILE}).files
    assert operation.blobs.files[name].read_bytes() == FILE[1]


def test_values_with_uploads_are_not_handed_over(tmp_path) -> None:
    """FastAPI closes uploads with the request, so a first run reads the stored ones; other values are handed over."""
    with_file = Operation(one_file, tmp_path)
    assert with_file.send("/run", files={"file": FILE}).values is None
    without = Operation(model_body, tmp_path)
    assert without.send("/run", json={"name": "a"}).values == {"item": Item(name="a")}


def test_a_missing_file_is_an_input_mismatch_and_leaks_no_handle(tmp_path) -> None:
    """A blob that is gone ends the operation; files opened before it are closed (a leak would warn)."""
    operation = Operation(many_files, tmp_path)
    captured = operation.send("/run", files=[("files", FILE), ("files", ("b", b"2"))], data={"title": "t"})
    operation.blobs.files[captured.files[1]].unlink()
    with pytest.raises(InputMismatch, match="a file of the stored request is missing"):
        operation.arguments()


def test_files_are_closed_after_the_run(tmp_path) -> None:
    """Uploads stay open while the function runs and are closed by the stack of the run."""
    operation = Operation(one_file, tmp_path)
    operation.send("/run", files={"file": FILE})
    binding = operation.binding

    async def scenario() -> None:
        arguments = await binding.arguments(operation.captured.stored, operation.blobs.files)
        async with AsyncExitStack() as stack:
            found = await binding.resolve(
                arguments, context=OperationContext(), stack=stack, run_sync=asyncio.to_thread, app=None
            )
            assert found["file"].file.read() == FILE[1]
        assert found["file"].file.closed

    asyncio.run(scenario())
