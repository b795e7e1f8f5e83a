"""Nothing is known of other machines' processes but their leases."""

from __future__ import annotations


class NoLiveness:
    """Implements Liveness where a worker may be on any machine: only its lease tells that it is gone."""

    def enter(self, worker: str) -> None:
        """Need no trace."""

    def leave(self) -> None:
        """Have left none."""

    def is_dead(self, worker: str) -> bool:  # noqa: ARG002 - whoever it is
        """Be in doubt of all."""
        return False

    def workers(self) -> list[str]:
        """Know of none."""
        return []

    def forget(self, worker: str) -> None:
        """Have nothing to forget."""
