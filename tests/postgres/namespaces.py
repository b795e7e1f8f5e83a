"""Machines of their own as far as the network goes: Linux network namespaces, each with a link to this one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

NETWORK = "198.18"  # which RFC 2544 keeps for tests of networks


class NoNamespaces(Exception):
    """This machine cannot make network namespaces; the message says why."""


class Machine:
    """A namespace whose one link, a pair of virtual interfaces, leads here.

    :param number: of the machine, at most 63.
    """

    def __init__(self, number: int) -> None:
        block = os.getpid() % 256
        self.name = f"rain{os.getpid()}n{number}"
        self.inside, self.outside = f"rci{os.getpid()}n{number}", f"rco{os.getpid()}n{number}"
        self.here = f"{NETWORK}.{block}.{4 * number + 1}"
        self.address = f"{NETWORK}.{block}.{4 * number + 2}"
        self.network = f"{NETWORK}.{block}.{4 * number}/30"
        self.under = ("ip", "netns", "exec", self.name)

    def make(self) -> None:
        """Make it, with its link up.

        :raises NoNamespaces: this process may not.
        """
        if shutil.which("ip") is None:
            raise NoNamespaces("there is no program `ip` (Debian's package iproute2)")
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self.outside, "type", "veth", "peer", "name", self.inside)
            _ip("link", "set", self.inside, "netns", self.name)
            _ip("address", "add", f"{self.here}/30", "dev", self.outside)
            _ip("link", "set", self.outside, "up")
            self._inside("address", "add", f"{self.address}/30", "dev", self.inside)
            self._inside("link", "set", "lo", "up")
            self._inside("link", "set", self.inside, "up")
        except subprocess.CalledProcessError as error:
            raise NoNamespaces(f"`{' '.join(error.cmd)}` failed: {error.stderr.strip()}") from error

    def remove(self) -> None:
        """Remove all that was made; what was not made is no trouble."""
        for command in (("link", "del", self.outside), ("netns", "del", self.name)):
            with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
                _ip(*command)

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[None]:
        """Take its own end of the link down: it knows that it is alone, the others hear nothing of it."""
        self._inside("link", "set", self.inside, "down")
        try:
            yield
        finally:
            self._inside("link", "set", self.inside, "up")

    @contextlib.contextmanager
    def switched_off(self) -> Iterator[None]:
        """Take this end of the link down: what it sends is lost, and nobody tells it."""
        _ip("link", "set", self.outside, "down")
        try:
            yield
        finally:
            _ip("link", "set", self.outside, "up")

    @contextlib.contextmanager
    def unanswered(self) -> Iterator[None]:
        """Let what it sends arrive here, and lose what is sent to it: its writes count, and it does not hear so."""
        _ip("route", "add", "blackhole", f"{self.address}/32")
        try:
            yield
        finally:
            _ip("route", "del", "blackhole", f"{self.address}/32")

    def _inside(self, *arguments: str) -> None:
        _ip("-n", self.name, *arguments)


@contextlib.contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Make machines, and remove them at the end.

    :raises NoNamespaces: this process may not.
    """
    made = [Machine(number) for number in range(count)]
    try:
        for each in made:
            each.make()
        yield made
    finally:
        for each in made:
            each.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
