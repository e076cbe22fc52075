"""The emulator's clock: real time plus what a test has added, so that retention can run out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class Clock:
    def __init__(self) -> None:
        self.offset = timedelta(0)
        self._last = datetime.min.replace(tzinfo=timezone.utc)

    def now(self) -> datetime:
        """Strictly rising, so that two statements never share an instant."""
        now = datetime.now(timezone.utc) + self.offset
        if now <= self._last:
            now = self._last + timedelta(microseconds=1)
        self._last = now
        return now

    def set(self, offset: timedelta) -> None:
        """Also back: what comes then is compared with nothing that was later."""
        self.offset, self._last = offset, datetime.min.replace(tzinfo=timezone.utc)
