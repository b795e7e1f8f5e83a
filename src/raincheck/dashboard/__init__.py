"""The operator's page: what a guard may return. ``Raincheck(dashboard=guard)`` serves it at ``{prefix}/dashboard``."""

from raincheck.dashboard.access import Operator, Viewer

__all__ = ["Operator", "Viewer"]
