"""Reads an answer of the Responses API, in one body or as a stream of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from openai_proxy.body_meter import BodyMeter
from openai_proxy.json_members import ELEMENT, Path, put
from openai_proxy.reading import Reading
from openai_proxy.stream_meter import StreamMeter
from openai_proxy.tool_calls import ITEM_MEMBERS, TOOL_MEMBERS, ToolCalls

_ITEM, _TOOL = ("output", ELEMENT), ("tools", ELEMENT)
_MEMBERS: tuple[Path, ...] = (
    ("usage",), ("tool_usage",), ("model",), ("id",), ("service_tier",), ("error",),
    *((*_ITEM, *path) for path in ITEM_MEMBERS),
    *((*_TOOL, *path) for path in TOOL_MEMBERS),
)  # fmt: skip


class _ResponseReader:
    """Reads one response object, whole or member by member."""

    def __init__(self, reading: Reading) -> None:
        self.calls = ToolCalls()
        self._reading = reading
        self._element: dict[str, Any] = {}  # the members at hand of an item, or of a tool

    def whole(self, response: Mapping[str, Any]) -> None:
        """Read it at once."""
        self._reading.take(response)
        self.begin()
        for item in _objects(response.get("output")):
            self.calls.listed(item)
        for tool in _objects(response.get("tools")):
            self.calls.tool(tool)
        self.tell()

    def begin(self) -> None:
        """Its members come one by one."""
        self.calls.list_begins()
        self._element = {}

    def member(self, path: Path, value: object) -> None:
        """Read one of them."""
        if len(path) == 1:
            self._reading.take({path[0]: value})
        elif path == _ITEM:
            self.calls.listed(self._element)
            self._element = {}
        elif path == _TOOL:
            self.calls.tool(self._element)
            self._element = {}
        else:
            put(self._element, path[2:], value)

    def tell(self) -> None:
        """Put down what was counted so far."""
        self._reading.tool_calls = self.calls.counted()


class ResponsesBody(BodyMeter):
    """A response in one body."""

    wanted = _MEMBERS

    def __init__(self) -> None:
        super().__init__()
        self._response = _ResponseReader(self.reading)

    def body(self, body: Mapping[str, Any]) -> None:
        """Read a body."""
        self._response.whole(body)

    def member(self, path: Path, value: object) -> None:
        """Read a member of a large body."""
        self._response.member(path, value)
        if path in (_ITEM, _TOOL):
            self._response.tell()


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
        self._large: dict[str, Any] = {}  # the members at hand of a large event

    def event(self, event: Mapping[str, Any]) -> None:
        """Read an event."""
        kind = event.get("type")
        response = event.get("response")
        if isinstance(response, dict):
            self._response.whole(response)
        elif kind == "error":
            self.reading.take_error(event)
        elif kind == "response.output_item.done":
            self._item_done(event.get("item"))
        elif isinstance(kind, str) and kind.endswith(".delta"):
            self.reading.add_output(event.get("delta"))
        if kind in _TERMINAL:
            self.reading.ended = True

    def large_member(self, path: Path, value: object) -> None:
        """Read a member of a large event."""
        if path[0] != "response":
            put(self._large, path, value)
            return
        if "response" not in self._large:
            self._large["response"] = {}
            self._response.begin()
        self._response.member(path[1:], value)

    def large_end(self) -> None:
        """A large event has ended: a terminal one, if its type says so."""
        large, self._large = self._large, {}
        if large.get("type") == "response.output_item.done":
            self._item_done(large.get("item"))
        self._response.tell()
        if large.get("type") in _TERMINAL:
            self.reading.ended = True

    def _item_done(self, item: object) -> None:
        if isinstance(item, dict):
            self._response.calls.item_done(item)
            self._response.tell()


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())
