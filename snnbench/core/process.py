"""How much of the processors other programs took while something was timed."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = slice(3, 5)  # idle, and waiting for a disk
_COUNTED = 8  # up to time stolen by the hypervisor; guests' time is part of the first


class OtherLoad:
    """Watches the processors from its creation on; known on Linux."""

    def __init__(self) -> None:
        self._start = self._now()

    def share(self) -> float | None:
        """Processor time of others since the start, as a share of all there was, 0 to 1.

        Time that a hypervisor gave to other machines is among it.

        Returns:
            ``None`` where the system does not tell.
        """
        now = self._now()
        if self._start is None or now is None:
            return None
        busy_s, own_s, elapsed_s = (b - a for a, b in zip(self._start, now, strict=True))
        available_s = elapsed_s * (os.cpu_count() or 1)
        return min(max((busy_s - own_s) / available_s, 0.0), 1.0) if available_s > 0 else None

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Seconds that all processors were busy, of this process, and on the clock."""
        try:
            words = _STAT.read_text(encoding="ascii").partition("\n")[0].split()[1:]
        except OSError:
            return None
        ticks = [int(word) for word in words[:_COUNTED]]
        busy = (sum(ticks) - sum(ticks[_IDLE])) / os.sysconf("SC_CLK_TCK")
        return busy, time.process_time(), time.monotonic()
