"""What OpenAI would answer at /chat/completions, /completions, /embeddings and /moderations; pure, as `openai_wire`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from openai_wire import CREATED, Answer, Event, Json, Question, Reply, Stream, answer, data, tokens


def chat(question: Question) -> Reply:
    given = answer(question)
    content = Stream(_chat_events(question, given)) if question.streams else _chat_completion(question, given)
    return Reply(content, given.usage, given.model)


def _chat_completion(question: Question, given: Answer) -> Json:
    message: dict[str, Any] = {"role": "assistant", "content": given.text, "refusal": None, "annotations": []}
    if "output_audio_tokens" in given.usage.units:
        sound = {"id": f"audio_{given.unique}", "data": "AAAA", "expires_at": CREATED, "transcript": given.text}
        message |= {"content": None, "audio": sound}
    return question.told(
        {
            "id": f"chatcmpl-{given.unique}",
            "object": "chat.completion",
            "created": CREATED,
            "model": given.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": given.usage.chat(),
            "service_tier": question.tier,
            "system_fingerprint": "fp_51db84afab",
        }
    )


def _chat_events(question: Question, given: Answer) -> Iterator[Event]:
    """A chat stream; only one that asked for its usage has the key `usage` at all."""
    asked, tier = question.wants_usage, question.tier
    usage: Json = {"usage": None} if asked else {}
    deltas: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": word} for word in given.words] + [{}]
    for number, delta in enumerate(deltas):
        reason = "stop" if number == len(deltas) - 1 else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        count = tokens(delta["content"]) if delta.get("content") else 0
        yield Event(data(_chat_chunk(given, tier, [choice], usage)), count)
    if asked:
        yield Event(data(question.told(_chat_chunk(given, tier, [], {"usage": given.usage.chat()}))))
    yield Event(b"data: [DONE]\n\n")


def _chat_chunk(given: Answer, tier: str, choices: Sequence[Json], usage: Json) -> Json:
    return {
        "id": f"chatcmpl-{given.unique}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": given.model,
        "service_tier": tier,
        "system_fingerprint": "fp_51db84afab",
        "choices": choices,
        **usage,
        "obfuscation": given.unique[: 3 + len(choices)],
    }


def completion(question: Question) -> Reply:
    given = answer(question)
    choice = {"text": given.text, "index": 0, "logprobs": None, "finish_reason": "stop"}
    whole = _completion(given, [choice]) | {"usage": given.usage.completion()}
    content = Stream(_completion_events(question, given)) if question.streams else question.told(whole)
    return Reply(content, given.usage, given.model)


def _completion_events(question: Question, given: Answer) -> Iterator[Event]:
    asked = question.wants_usage
    usage = {"usage": None} if asked else {}
    for number, word in enumerate(given.words):
        reason = "stop" if number == len(given.words) - 1 else None
        choice = {"text": word, "index": 0, "logprobs": None, "finish_reason": reason}
        yield Event(data(_completion(given, [choice]) | usage), tokens(word))
    if asked:
        yield Event(data(question.told(_completion(given, []) | {"usage": given.usage.completion()})))
    yield Event(b"data: [DONE]\n\n")


def _completion(given: Answer, choices: Sequence[Json]) -> dict[str, Any]:
    return {
        "id": f"cmpl-{given.unique}",
        "object": "text_completion",
        "created": CREATED,
        "model": given.model,
        "choices": choices,
    }


def embeddings(question: Question) -> Reply:
    given = answer(question)
    return Reply(_embeddings(question, given), given.usage, given.model)


def _embeddings(question: Question, given: Answer) -> Iterator[bytes]:
    """An embeddings answer in pieces; its usage is the last thing in it, however large it is."""
    asked = question.body.get("input")
    count = len(asked) if isinstance(asked, list) else 1
    vector: Any = [0.0023064255, -0.009327292, 0.015797347, 1.0]
    if question.body.get("encoding_format") == "base64":
        vector = "AAAAPwAAgD8AAAA/AACAPw=="
    listed = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    yield ('{\n  "object": "list",\n  "data": ' + json.dumps(listed)[:-1]).encode()
    filler = b',\n    {"object": "embedding", "index": 1, "embedding": [' + b"-0.0069292834," * 4000 + b"0.0]}"
    for _ in range(question.orders.big // len(filler)):
        yield filler
    usage = {"prompt_tokens": given.usage.input, "total_tokens": given.usage.input}
    tail = json.dumps(question.told({"model": given.model, "usage": usage}), indent=2)
    yield f"],\n  {tail.strip('{}').strip()}\n}}\n".encode()


_HARMS = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


def moderation(question: Question) -> Reply:
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_HARMS, False),
        "category_scores": dict.fromkeys(_HARMS, 0.0001),
        "category_applied_input_types": {name: ["text"] for name in _HARMS},
    }
    return Reply({"id": f"modr-{question.unique}", "model": "omni-moderation-latest", "results": [result]})


REPLIES: Mapping[str, Callable[[Question], Reply]] = {
    "/chat/completions": chat,
    "/completions": completion,
    "/embeddings": embeddings,
    "/moderations": moderation,
}
