"""Sound whose length is not told by the file's beginning, read while its bytes pass; nothing of it is held."""

from __future__ import annotations

from openai_proxy.wire.audio_walks import START_BYTES, Walk, walk_of

_MOST_STEPS = 2_000_000  # two of each 20 ms are five hours; a file of nothing but heads must not hold the proxy up


class PassingAudio:
    """One file: `feed` it. `known` says whether there is a walk for its format, None while that is not clear."""

    def __init__(self) -> None:
        self.known: bool | None = None
        self.seconds: float | None = None
        self._rest = b""
        self._steps_left = _MOST_STEPS
        self._walk = self._begin()
        _, self._skip, self._want = next(self._walk)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self._steps_left:
            return
        data, at = self._rest + data, self._skip
        while at + self._want <= len(data) and self._steps_left:
            self._steps_left -= 1
            try:
                self.seconds, skip, self._want = self._walk.send(data[at : at + self._want])
            except StopIteration:
                self._steps_left = 0
                return
            at += skip
        if not self._steps_left:
            self.seconds = None
        self._rest, self._skip = data[at:], max(0, at - len(data))

    def _begin(self) -> Walk:
        start = yield None, 0, START_BYTES
        walk = walk_of(start)
        self.known = walk is not None
        if walk:
            yield from walk
