"""The local blob folder keeps the promises of BlobStore, and its own."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.ports import Blob
from raincheck.stores.blobs import LocalBlobs
from raincheck.stores.durable_files import PartialFile
from raincheck.testing.conformance import BlobStoreConformance
from raincheck.testing.conformance.blobs import pieces, staged
from raincheck.testing.conformance.specimens import an_operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

pytestmark = pytest.mark.anyio
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Provide a place for the folder, which does not exist yet."""
    return tmp_path / "deep" / "blobs"


@pytest.fixture
def blobs(folder: Path) -> LocalBlobs:
    """Provide an empty blob store."""
    return LocalBlobs(folder)


class TestLocalBlobs(BlobStoreConformance):
    """All that any blob store promises."""


class TestPrivacy:
    """What lies in the folder is the user's own."""

    async def test_folders_and_files_are_private(self, blobs: LocalBlobs, folder: Path) -> None:
        """Also adopted ones, whatever mode the function gave them."""
        operation = an_operation().id
        await blobs.put(f"{operation}/0/body", pieces(b"body"))
        file = staged(blobs, operation, b"result")
        file.chmod(0o666)
        await blobs.adopt(f"{operation}/1/result", file)
        kept = [folder, folder / operation, folder / operation / "0"]
        assert {stat.S_IMODE(each.stat().st_mode) for each in kept} == {0o700}
        files = [await blobs.local_path(f"{operation}/{rest}") for rest in ("0/body", "1/result")]
        assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}

    def test_making_the_object_touches_no_disk(self, blobs: LocalBlobs, folder: Path) -> None:
        """Constructing the application is inert."""
        assert isinstance(blobs, LocalBlobs)
        assert not folder.parent.exists()

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "body",
            "{id}/body",
            "{id}/0/",
            "{id}/0/..",
            "{id}/0/.hidden",
            "{id}/0/a/b",
            "{id}/0/../../../etc/passwd",
            "{id}/../0/body",
            "{id}/-1/body",
            "{id}/٣/body",
            "../{id}/0/body",
            "/{id}/0/body",
            "{id}/0/a\x00b",
            "{id}/0/a\n",
            "op_short/0/body",
            "{id}/0/" + "a" * 129,
        ],
    )
    async def test_a_name_that_leads_elsewhere_is_refused(self, blobs: LocalBlobs, tmp_path: Path, name: str) -> None:
        """Nothing that a request can influence may leave the folder."""
        hostile = name.replace("{id}", an_operation().id)
        file = tmp_path / "file"
        file.write_bytes(b"")
        for refused in (blobs.put(hostile, pieces(b"x")), blobs.adopt(hostile, file), blobs.local_path(hostile)):
            with pytest.raises(ValueError, match="not a blob name"):
                await refused
        assert list(tmp_path.iterdir()) == [file]

    async def test_removing_a_hostile_id_removes_nothing(self, blobs: LocalBlobs, folder: Path) -> None:
        """An id is checked before it becomes a path."""
        name = f"{an_operation().id}/0/body"
        await blobs.put(name, pieces(b"body"))
        await blobs.remove_operations(["", ".", "..", "../..", "/", str(folder)])
        assert (await blobs.local_path(name)).is_file()

    @pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
    async def test_only_a_regular_file_is_adopted(self, blobs: LocalBlobs, tmp_path: Path, kind: str) -> None:
        """A link would show whatever it points to; a pipe would wait for ever."""
        secret = tmp_path / "secret"
        secret.write_bytes(b"secret")
        offered = tmp_path / "offered"
        match kind:
            case "link":
                offered.symlink_to(secret)
            case "folder":
                offered.mkdir()
            case _:
                os.mkfifo(offered)
        name = f"{an_operation().id}/1/result"
        with pytest.raises(ValueError, match="regular file"):
            await blobs.adopt(name, offered)
        with pytest.raises(KeyError):
            await blobs.local_path(name)
        assert secret.read_bytes() == b"secret"


class TestFailingDisk:
    """A write that fails says so and leaves nothing behind."""

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    @pytest.mark.parametrize("step", ["create", "write", "commit"])
    async def test_a_full_disk_leaves_nothing_behind(
        self, blobs: LocalBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
    ) -> None:
        """At whichever step it fills up."""
        break_step(monkeypatch, step, code)
        with pytest.raises(StorageFull):
            await blobs.put(f"{an_operation().id}/0/body", pieces(b"body"))
        assert list(folder.rglob("*")) == []

    async def test_a_full_disk_harms_no_file_beside(self, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was durable stays."""
        operation = an_operation().id
        await blobs.put(f"{operation}/0/first", pieces(b"first"))
        break_step(monkeypatch, "write", errno.ENOSPC)
        with pytest.raises(StorageFull):
            await blobs.put(f"{operation}/0/second", pieces(b"second"))
        first = await blobs.local_path(f"{operation}/0/first")
        assert [each.name for each in first.parent.iterdir()] == ["first"]

    async def test_another_failure_is_said_to_pass(self, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
        """Too many open files, for one."""
        break_step(monkeypatch, "create", errno.EMFILE)
        with pytest.raises(StoreUnavailable):
            await blobs.put(f"{an_operation().id}/0/body", pieces(b"body"))

    async def test_an_error_of_the_source_is_not_taken_for_the_disks(self, blobs: LocalBlobs) -> None:
        """The client's broken connection is no reason to report a full disk."""

        async def broken() -> AsyncIterator[bytes]:
            yield b"half"
            raise OSError(errno.ENOSPC, "of the source")

        with pytest.raises(OSError, match="of the source"):
            await blobs.put(f"{an_operation().id}/0/body", broken())

    async def test_an_adopted_file_that_finds_no_room_leaves_nothing_behind(
        self, blobs: LocalBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Not even empty folders."""
        file = tmp_path / "result"
        file.write_bytes(b"result")

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(StorageFull):
            await blobs.adopt(f"{an_operation().id}/1/result", file)
        assert list(folder.rglob("*")) == []

    async def test_a_file_from_another_disk_is_copied_in(
        self, blobs: LocalBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Renaming works only within one file system."""
        operation = an_operation().id
        file = staged(blobs, operation, b"result")
        rename = Path.replace

        def refuse(path: Path, target: Path) -> Path:
            if path == file:
                raise OSError(errno.EXDEV, "cross-device link")
            return rename(path, target)

        monkeypatch.setattr(Path, "replace", refuse)
        blob = await blobs.adopt(f"{operation}/1/result", file)
        assert isinstance(blob, Blob)
        assert (await blobs.local_path(blob.name)).read_bytes() == b"result"
        assert {each.name for each in folder.rglob("*") if each.is_file()} == {"result"}


class TestDurability:
    """What is needed for a file to survive a power cut, in the right order."""

    async def test_content_then_name_then_folders_are_synced(
        self, blobs: LocalBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that is durable before its content would show an empty file."""
        steps: list[str] = []
        fsync, rename = os.fsync, Path.replace

        def synced(descriptor: int) -> None:
            target = Path(f"/proc/self/fd/{descriptor}").readlink()
            steps.append(f"sync {'folder' if target.is_dir() else 'file'}")
            fsync(descriptor)

        def renamed(path: Path, target: Path) -> Path:
            steps.append("rename")
            return rename(path, target)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(Path, "replace", renamed)
        await blobs.put(f"{an_operation().id}/0/body", pieces(b"body"))
        assert steps == ["sync file", "rename", "sync folder", "sync folder", "sync folder"]
        operation = an_operation().id
        steps.clear()
        await blobs.adopt(f"{operation}/1/result", staged(blobs, operation, b"result"))
        assert steps == ["sync file", "rename", "sync folder", "sync folder", "sync folder"]
        assert folder.is_dir()

    async def test_writing_happens_off_the_loop(self, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
        """A slow disk must not stop every other request."""
        threads: set[int] = set()
        for step in ("create", "write", "commit"):
            plain = getattr(PartialFile, step)

            def noted(*arguments: object, plain: object = plain) -> object:
                threads.add(threading.get_ident())
                return plain(*arguments)  # type: ignore[operator]

            monkeypatch.setattr(PartialFile, step, noted)
        await blobs.put(f"{an_operation().id}/0/body", pieces(b"body"))
        assert threads
        assert threading.get_ident() not in threads

    @pytest.mark.parametrize("step", ["create", "write", "commit"])
    async def test_a_cancelled_put_leaves_nothing_behind(
        self, blobs: LocalBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        """Although the thread that writes cannot be stopped."""
        entered, leave = threading.Event(), threading.Event()
        plain = getattr(PartialFile, step)

        def slow(*arguments: object) -> object:
            entered.set()
            assert leave.wait(10)
            return plain(*arguments)

        monkeypatch.setattr(PartialFile, step, slow)
        put = asyncio.ensure_future(blobs.put(f"{an_operation().id}/0/body", pieces(b"body")))
        assert await asyncio.to_thread(entered.wait, 10)
        put.cancel()
        leave.set()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert list(folder.rglob("*")) == []


class TestLinkedInputs:
    """An operation that is run again takes the files of the former one along."""

    async def test_a_rerun_has_the_inputs_and_not_the_results(self, blobs: LocalBlobs) -> None:
        """Removing either leaves the other as it is."""
        former, rerun = an_operation().id, an_operation().id
        for name in ("0/body", "0/file-1", "1/result"):
            await blobs.put(f"{former}/{name}", pieces(name.encode()))
        await blobs.link_inputs(former, rerun)
        await blobs.remove_operations([former])
        for name in ("0/body", "0/file-1"):
            assert (await blobs.local_path(f"{rerun}/{name}")).read_bytes() == name.encode()
        with pytest.raises(KeyError):
            await blobs.local_path(f"{rerun}/1/result")

    async def test_an_operation_without_files_has_none_to_take_along(self, blobs: LocalBlobs, folder: Path) -> None:
        """Most have none."""
        await blobs.link_inputs(an_operation().id, an_operation().id)
        assert not folder.exists()

    async def test_a_full_disk_leaves_no_half_of_the_inputs(
        self, blobs: LocalBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The rerun was not accepted, so it has no files."""
        former, rerun = an_operation().id, an_operation().id
        await blobs.put(f"{former}/0/body", pieces(b"body"))

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(Path, "hardlink_to", full)
        with pytest.raises(StorageFull):
            await blobs.link_inputs(former, rerun)
        assert [each.name for each in folder.iterdir()] == [former]


class TestSweep:
    """Files of submits that were never committed do not stay for ever."""

    async def test_a_folder_that_the_store_does_not_know_goes(self, blobs: LocalBlobs) -> None:
        """The process died between the upload and the commit."""
        orphan, known = an_operation().id, an_operation().id
        for operation in (orphan, known):
            await blobs.put(f"{operation}/0/body", pieces(b"body"))
        assert await blobs.sweep(knows(known), older_than=LATER) == [orphan]
        assert (await blobs.local_path(f"{known}/0/body")).is_file()
        with pytest.raises(KeyError):
            await blobs.local_path(f"{orphan}/0/body")

    async def test_a_young_folder_stays(self, blobs: LocalBlobs) -> None:
        """Its submit may be about to commit."""
        await blobs.put(f"{an_operation().id}/0/body", pieces(b"body"))
        assert await blobs.sweep(knows(), older_than=LONG_AGO) == []

    async def test_a_folder_that_is_written_right_now_stays(self, blobs: LocalBlobs, folder: Path) -> None:
        """A slow upload is as young as its last byte, not as its first."""
        operation = an_operation().id
        await blobs.put(f"{operation}/0/body", pieces(b"body"))
        for old in (folder / operation, folder / operation / "0"):
            os.utime(old, (0, 0))
        assert await blobs.sweep(knows(), older_than=datetime(1980, 1, 1, tzinfo=UTC)) == []

    async def test_what_is_not_an_operations_folder_stays(self, blobs: LocalBlobs, folder: Path) -> None:
        """The folder may hold what somebody else put there."""
        folder.mkdir(parents=True)
        (folder / "lost+found").mkdir()
        assert await blobs.sweep(knows(), older_than=LATER) == []
        assert (folder / "lost+found").is_dir()

    async def test_sweeping_before_the_first_write_finds_nothing(self, blobs: LocalBlobs) -> None:
        """There is no folder yet."""
        assert await blobs.sweep(knows(), older_than=LATER) == []


class _Known:
    def __init__(self, ids: frozenset[str]) -> None:
        self._ids = ids

    async def __call__(self, ids: Sequence[str]) -> frozenset[str]:
        return self._ids & frozenset(ids)


def knows(*ids: str) -> _Known:
    """Return what a store says that holds these operations."""
    return _Known(frozenset(ids))


def break_step(monkeypatch: pytest.MonkeyPatch, step: str, code: int) -> None:
    """Make one step of writing a file fail after it did its work."""
    plain = getattr(PartialFile, step)

    def failing(*arguments: object) -> None:
        plain(*arguments)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(PartialFile, step, failing)
