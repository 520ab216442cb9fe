"""What OpenAI would answer at /responses and /decisions, with the tools that it runs itself; pure, as `openai_wire`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from openai_wire import CREATED, Answer, Event, Json, Question, Reply, Stream, Usage, answer, named, tokens

_NO_IMAGES = Usage()


@dataclass(frozen=True, slots=True)
class _Tools:
    """What the tools that OpenAI ran did, and what that costs."""

    items: Sequence[Json] = ()
    units: Mapping[str, float] = field(default_factory=dict)
    image: Usage = _NO_IMAGES


@dataclass(frozen=True, slots=True)
class Made:
    """A Response: what may be read of it while it is made, and when it is done."""

    question: Question
    given: Answer
    tools: _Tools
    end: str

    def __call__(self, status: str) -> Json:
        """The Response in OpenAI's order of keys: what may be large stands before `usage`."""
        given, body, ended = self.given, self.question.body, status in {"completed", "incomplete", "failed"}
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        error = {"code": "server_error", "message": "The model had an error."} if status == "failed" else None
        padding = self.question.orders.big if ended else 0
        whole = {
            "id": f"resp_{given.unique}",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "background": bool(body.get("background", False)),
            "error": error,
            "incomplete_details": reason,
            "instructions": "x" * padding if padding else body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "model": given.model,
            "output": [*self.tools.items, _message(given, "completed")] if ended else [],
            "parallel_tool_calls": True,
            "previous_response_id": body.get("previous_response_id"),
            "service_tier": self.question.tier if ended else "auto",
            "store": body.get("store", True),
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": body.get("tools", []),
            "tool_usage": self._tool_usage() if ended else None,
            "top_p": 1.0,
            "usage": given.usage.responses() if ended else None,
            "user": body.get("user"),
            "metadata": body.get("metadata") or {},
        }
        return self.question.told(whole) if ended else whole

    def _tool_usage(self) -> Json:
        drawn = self.tools.image
        of_output = {"output_tokens_details": {"image_tokens": drawn.output, "text_tokens": 0}}
        searches = {"num_requests": self.tools.units.get("web_searches", 0)}
        return {"image_gen": drawn.images() | of_output, "web_search": searches}

    def events(self) -> Iterator[Event]:
        given, items = self.given, self.tools.items
        place = {"item_id": f"msg_{given.unique}", "output_index": len(items), "content_index": 0}
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
        steps: list[tuple[str, Json, int]] = [("response.created", {"response": self("in_progress")}, 0)]
        if self.question.body.get("background") is True:
            steps = [("response.created", {"response": self("queued")}, 0)]
            steps += [("response.queued", {"response": self("queued")}, 0)]
        steps += [("response.in_progress", {"response": self("in_progress")}, 0)]
        for index, item in enumerate(items):
            begun = {name: value for name, value in item.items() if name != "result"} | {"status": "in_progress"}
            steps.append(("response.output_item.added", {"output_index": index, "item": begun}, 0))
            steps.append(("response.output_item.done", {"output_index": index, "item": item}, 0))
        steps += [
            ("response.output_item.added", {"output_index": len(items), "item": _message(given, "in_progress")}, 0),
            ("response.content_part.added", place | {"part": part}, 0),
        ]
        steps += [
            ("response.output_text.delta", place | {"delta": word, "logprobs": [], "obfuscation": "k3"}, tokens(word))
            for word in given.words
        ]
        steps += [
            ("response.output_text.done", place | {"text": given.text, "logprobs": []}, 0),
            ("response.content_part.done", place | {"part": part | {"text": given.text}}, 0),
            ("response.output_item.done", {"output_index": len(items), "item": _message(given, "completed")}, 0),
            (f"response.{self.end}", {"response": self(self.end)}, 0),
        ]
        for number, (name, fields, count) in enumerate(steps):
            yield Event(named({"type": name, "sequence_number": number, **fields}), count)


def made(question: Question) -> Made:
    given, tools = answer(question), _tools(question)
    units = {**given.usage.units, **tools.units}
    given = replace(given, usage=replace(given.usage, units=units))
    end = "incomplete" if question.orders.incomplete else "failed" if question.orders.failed else "completed"
    return Made(question, given, tools, end)


def response(question: Question) -> Reply:
    """The Response; one in the background is queued, is billed when it is done, and does not tell that."""
    one = made(question)
    if question.streams:
        return Reply(Stream(one.events()), one.given.usage, one.given.model)
    background = question.body.get("background") is True
    return Reply(one("queued" if background else one.end), one.given.usage, one.given.model, told=not background)


def _message(given: Answer, status: str) -> Json:
    text = {"type": "output_text", "annotations": [], "logprobs": [], "text": given.text}
    return {
        "id": f"msg_{given.unique}",
        "type": "message",
        "status": status,
        "content": [text] if status == "completed" else [],
        "role": "assistant",
    }


def _tools(question: Question) -> _Tools:
    unique, items, units, image = question.unique[:20], [], dict[str, float](), _NO_IMAGES
    for number, tool in enumerate(question.body.get("tools") or []):
        kind, end = tool.get("type", ""), f"{unique}{number}"
        if kind.startswith("web_search"):
            items += _web_searches(end)
            units["web_searches"] = units.get("web_searches", 0) + 2
        elif kind == "file_search":
            items += _file_searches(end)
            units["storage_searches"] = units.get("storage_searches", 0) + 2
        elif kind in {"code_interpreter", "shell"}:
            container = tool.get("container" if kind == "code_interpreter" else "environment", {})
            items += _code_runs(end, container) if kind == "code_interpreter" else _shell_runs(end)
            if isinstance(container, dict):
                size = f"containers_{container.get('memory_limit') or '1g'}"
                units[size] = units.get(size, 0) + 1
        elif kind == "image_generation":
            items.append(_image(end))
            image = _image_usage(question)
            seen = image.units.get("input_image_tokens", 0)
            units |= {"drawn.input_tokens": image.input, "drawn.input_image_tokens": seen}
            units["drawn.output_image_tokens"] = image.output
    return _Tools(items, units, image)


def _web_searches(end: str) -> list[Json]:
    """Two searches, which are billed, one page opened, which is not, and a search that failed."""
    actions = [
        ({"type": "search", "query": "water", "queries": ["water"], "sources": []}, "completed"),
        ({"type": "open_page", "url": "https://example.com/"}, "completed"),
        ({"type": "search", "query": "day", "queries": ["day"], "sources": []}, "completed"),
        ({"type": "search", "query": "house", "queries": ["house"], "sources": []}, "failed"),
    ]
    return [
        {"id": f"ws_{end}{number}", "type": "web_search_call", "status": status, "action": action}
        for number, (action, status) in enumerate(actions)
    ]


def _file_searches(end: str) -> list[Json]:
    call = {"type": "file_search_call", "status": "completed", "queries": ["water"], "results": None}
    return [{"id": f"fs_{end}{number}", **call} for number in range(2)]


def _code_runs(end: str, container: object) -> list[Json]:
    """Two runs in one container: a session is billed, not a run."""
    name = container if isinstance(container, str) else f"cntr_{end}"
    run = {"type": "code_interpreter_call", "status": "completed", "code": "1+1", "container_id": name, "outputs": None}
    return [{"id": f"ci_{end}{number}", **run} for number in range(2)]


def _shell_runs(end: str) -> list[Json]:
    return [
        {
            "id": f"sh_{end}{number}",
            "type": "shell_call",
            "status": "completed",
            "call_id": f"call_{end}{number}",
            "action": {"commands": ["ls"], "max_output_length": None, "timeout_ms": None},
            "environment": {"type": "container_reference", "container_id": f"cntr_{end}"},
        }
        for number in range(2)
    ]


def _image(end: str) -> Json:
    return {
        "id": f"ig_{end}",
        "type": "image_generation_call",
        "status": "completed",
        "background": "opaque",
        "output_format": "png",
        "quality": "medium",
        "revised_prompt": "a house by the water",
        "size": "1024x1024",
        "result": "iVBORw0KGgo=" * 64,
    }


def _image_usage(question: Question) -> Usage:
    dice = question.dice()
    seen = dice.choice([0, 194])
    return Usage(input=seen + dice.randint(10, 60), output=1056, units={"input_image_tokens": seen} if seen else {})


def compaction(question: Question) -> Reply:
    given = answer(question)
    whole = {
        "id": f"resp_{given.unique}",
        "object": "response.compaction",
        "created_at": CREATED,
        "output": [{"id": f"cmp_{given.unique}", "type": "compaction", "encrypted_content": given.unique}],
        "usage": given.usage.responses(),
    }
    return Reply(question.told(whole), given.usage)


def input_token_count(question: Question) -> Reply:
    return Reply({"object": "response.input_tokens", "input_tokens": answer(question).usage.input})


def decision(question: Question) -> Reply:
    """Answers to questions about an input, without a text; the output tokens cost nothing."""
    given = answer(question)
    answers = [_decided(one) for one in question.body.get("questions", [])]
    usage = replace(given.usage, cached=0, reasoning=0, output=len(answers), units={})
    told = {**usage.responses(), "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}
    whole = {"answers": answers, "model": given.model, "usage": told}
    return Reply(question.told(whole), usage, given.model)


def _decided(asked: Json) -> Json:
    name: dict[str, Any] = {"name": asked.get("name")}
    if asked["type"] == "choice":
        chosen = [choice["value"] for choice in asked["choices"]]
        spread = [{"value": value, "probability": 1 / len(chosen)} for value in chosen]
        return name | {"type": "choice", "choice": chosen[0], "confidence": 0.5, "probabilities": spread}
    if asked["type"] == "score":
        spread = [
            {"label": level["label"], "value": value, "probability": 0.5} for value, level in enumerate(asked["levels"])
        ]
        return name | {"type": "score", "score": 0.5, "confidence": 0.5, "probabilities": spread}
    return name | {"type": "predicate", "probability": 0.75}


REPLIES: Mapping[str, Callable[[Question], Reply]] = {
    "/responses": response,
    "/responses/compact": compaction,
    "/responses/input_tokens": input_token_count,
    "/decisions": decision,
}
