"""A clock that jumps and syncs that fail: compiled for the test, preloaded into the servers, steered by a file."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("shim.c")
_NUMBERS = struct.Struct("=4q")


class Shim:
    """What the servers' C library says to them.

    :raises pytest.skip.Exception: there is no C compiler, or a preloaded library has no effect here.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("there is no C compiler to make the preloaded clock with")
        self.library = folder / "shim.so"
        self._file = folder / "shim.numbers"
        self._file.write_bytes(_NUMBERS.pack(0, 0, 0, 0))
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(self.library), str(SOURCE), "-ldl"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            pytest.skip(f"the preloaded clock does not compile here: {made.stderr[-300:]}")
        with self._file.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _NUMBERS.size)

    def variables(self) -> dict[str, str]:
        """Return what a server's environment needs."""
        return {"LD_PRELOAD": str(self.library), "CHAOS_SHIM": str(self._file)}

    def move_clock(self, seconds: int) -> None:
        """Let the wall clock differ from the true one by so many seconds, from now on and in all processes."""
        struct.pack_into("=q", self._memory, 0, seconds)

    def fail_syncs(self, percent: int) -> None:
        """Let this share of the syncs fail, from now on."""
        struct.pack_into("=q", self._memory, 8, percent)

    @property
    def failed_syncs(self) -> int:
        """How many syncs have failed so far."""
        return int(struct.unpack_from("=q", self._memory, 24)[0])
