"""Reads an answer of the Responses API, in one body or as a stream of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from openai_proxy.metering.body_meter import BodyMeter
from openai_proxy.metering.reading import Reading
from openai_proxy.metering.stream_meter import StreamMeter
from openai_proxy.metering.tool_calls import ITEM_MEMBERS, TOOL_MEMBERS, ToolCalls
from openai_proxy.wire.json_members import ELEMENT, Path, put

_ITEM, _TOOL = ("output", ELEMENT), ("tools", ELEMENT)
_MEMBERS: tuple[Path, ...] = (
    ("usage",), ("tool_usage",), ("model",), ("id",), ("service_tier",), ("error",),
    *((*_ITEM, *path) for path in ITEM_MEMBERS),
    *((*_TOOL, *path) for path in TOOL_MEMBERS),
)  # fmt: skip


class _ResponseReader:
    """Reads one response object, whole or member by member."""

    def __init__(self, reading: Reading) -> None:
        self._calls = ToolCalls()
        self._reading = reading
        self._element: dict[str, Any] = {}  # the members at hand of an item, or of a tool

    def whole(self, response: Mapping[str, Any]) -> None:
        """Read it at once."""
        self._reading.take(response)
        self._calls.list_begins()
        for item in _objects(response.get("output")):
            self._calls.listed(item)
        for tool in _objects(response.get("tools")):
            self._calls.tool(tool)
        self._tell()

    def item_done(self, item: Mapping[str, Any]) -> None:
        """Read an item that is told by itself."""
        self._calls.item_done(item)
        self._tell()

    def begin(self) -> None:
        """Its members come one by one."""
        self._calls.list_begins()
        self._element = {}
        self._tell()

    def member(self, path: Path, value: object) -> None:
        """Read one of them."""
        if len(path) == 1:
            self._reading.take({path[0]: value})
        elif path in (_ITEM, _TOOL):
            take = self._calls.listed if path == _ITEM else self._calls.tool
            take(self._element)
            self._element = {}
            self._tell()
        else:
            put(self._element, path[2:], value)

    def _tell(self) -> None:
        """Put down what was counted so far."""
        self._reading.tool_calls = self._calls.counted()


class ResponsesBody(BodyMeter):
    """A response in one body."""

    wanted = _MEMBERS

    def __init__(self) -> None:
        super().__init__()
        self._response = _ResponseReader(self.reading)

    def take(self, members: Mapping[str, Any]) -> None:
        """Read a whole body."""
        self._response.whole(members)

    def member(self, path: Path, value: object) -> None:
        """Read a member of a large body."""
        self._response.member(path, value)


_TERMINAL = ("response.completed", "response.incomplete", "response.failed")


class ResponsesStream(StreamMeter):
    """Events of the Responses API; the usage stands in the terminal one, whichever of the three it is."""

    wanted = (
        ("type",),
        *(("response", *path) for path in _MEMBERS),
        *(("item", *path) for path in ITEM_MEMBERS),
    )

    def __init__(self) -> None:
        super().__init__()
        self._response = _ResponseReader(self.reading)

    def event(self, event: Mapping[str, Any]) -> None:
        """Read an event."""
        kind = event.get("type")
        response, item = event.get("response"), event.get("item")
        if isinstance(response, dict) and response:  # of a large one each member was read as it came
            self._response.whole(response)
        elif kind == "error":
            self.reading.take_error(event)
        elif kind == "response.output_item.done" and isinstance(item, dict):
            self._response.item_done(item)
        elif isinstance(kind, str) and kind.endswith(".delta"):
            self.reading.add_output(event.get("delta"))
        if kind in _TERMINAL:
            self.reading.ended = True

    def large_member(self, path: Path, value: object) -> None:
        """Read a member of a large event; those of a response at once, since its items may be many."""
        if path[0] != "response":
            super().large_member(path, value)
            return
        if "response" not in self._large:
            self._large["response"] = {}
            self._response.begin()
        self._response.member(path[1:], value)


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())
