"""Request targets that try to reach what the table of endpoints does not allow."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import strategies as st

from openai_proxy.api.endpoints import ENDPOINTS
from openai_proxy.api.refused_families import REFUSED

_PATHS = [*(endpoint.path for endpoint in ENDPOINTS), *(family.path for family in REFUSED)]
_WORDS = sorted({word for path in _PATHS for word in path.split("/")[1:]} - {"{id}"})
_TRICKS = [
    "..", ".", "...", "", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "%2f", "%2F..", "%5c..", "chat%2fcompletions", "V1",
    "Chat", "models.", "%6dodels", "{id}", "%7Bid%7D", "resp_1%2f..%2f..", "http:", "?", "#", "%00", "%0a", "%0d%0a",
    "%", "%zz", "\\", ";x", "files;x", " ", "%c0%ae%c0%ae", "%c0%af", "%ef%bc%8f", "organization%00", "@", "*",
    "\u00e9", "\uff0e\uff0e", "\u2024", "\u2024\u2024",
]  # fmt: skip
_PIECES = st.one_of(
    st.sampled_from(["v1", "openai", "resp_1", "ft:gpt-4o:a::b"]), st.sampled_from(_WORDS), st.sampled_from(_TRICKS)
)

METHODS = st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH", "get"])


def _in_the_place_of_ids(path: str) -> st.SearchStrategy[str]:
    ids = st.lists(_PIECES, min_size=path.count("{id}"), max_size=path.count("{id}"))
    return ids.map(lambda found: "/v1" + path.replace("{id}", "{}").format(*found))


TARGETS = st.one_of(
    st.lists(_PIECES, max_size=7).map(lambda found: "/" + "/".join(found)),
    st.sampled_from(_PATHS).flatmap(_in_the_place_of_ids),
    st.tuples(st.sampled_from(["/v1", "", "/openai/v1", "/v1/v1", "/log/..", "//v1"]), st.sampled_from(_PATHS)).map(
        "".join
    ),
    st.text(max_size=20),
    st.text(max_size=9).map(quote),
)
