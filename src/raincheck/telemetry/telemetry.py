"""What the roles get to be watched by."""

from __future__ import annotations

from dataclasses import dataclass, field

from raincheck.telemetry.instruments import Instruments
from raincheck.telemetry.tracing import NoTracing, Tracing


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Spans and figures of one process; by default neither."""

    tracing: Tracing = field(default_factory=NoTracing)
    instruments: Instruments = field(default_factory=Instruments)

    @property
    def idle(self) -> bool:
        """Whether nobody watches, so that what costs time can be left out."""
        return not self.instruments and isinstance(self.tracing, NoTracing)


UNWATCHED = Telemetry()
