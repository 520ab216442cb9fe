"""TOML texts in many forms, for properties: of the shapes that an access file has, and of others."""

from __future__ import annotations

from hypothesis import strategies as st

BARE = st.sampled_from(["users", "teams", "defaults", "ada", "bob", "keys", "a-b", "1", "id"])
NAMES = BARE | st.sampled_from(['"a@b"', "'a b'", '""', '"a\\u0062"', '"ada"'])
_STRINGS = st.sampled_from(
    ['"x"', '"a # b"', "'[x]'", '"a\\"b"', '"""\n[users.ada]\n"""', "'''\n[[x]]\n'''", '"""a"""""', '"ü"', '""']
)
_SCALARS = _STRINGS | st.sampled_from(
    ["true", "1", "-1.5", "1e3", "2026-05-01T12:00:00Z", "2026-05-01 12:00:00.5+02:00", "2026-05-01", "nan", "0x1F"]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: f"[{', '.join(found)}]")
        | st.lists(inner, max_size=3).map(lambda found: "[\n" + "".join(f"  {one}, # c\n" for one in found) + "]")
        | st.dictionaries(BARE, inner, max_size=2).map(
            lambda found: "{ " + ", ".join(f"{name} = {value}" for name, value in found.items()) + " }"
        )
    ),
    max_leaves=4,
)
_KEYS = st.lists(NAMES, min_size=1, max_size=2).map(".".join)
_HEADERS = (
    st.lists(NAMES, min_size=1, max_size=3).map(".".join).map("[{}]".format)
    | st.tuples(st.just("users"), st.sampled_from(["ada", "bob"])).map(".".join).map("[{}]".format)
    | st.sampled_from(
        ["[[users.ada.keys]]", "[[users.bob.keys]]", "[[x]]", "  [ users . ada ]", "[[ users.ada.keys ]]"]
    )
)
_LINES = (
    _HEADERS
    | st.tuples(_KEYS, st.sampled_from([" = ", "=", "  =  "]), _VALUES).map("".join)
    | st.sampled_from(["", "# [x]", "  ", "\t# c", '# """'])
)
_ENDS = st.sampled_from(["", "", "", "  # c", "\t"])
TEXTS = st.lists(st.tuples(_LINES, _ENDS).map("".join), max_size=14).map(lambda lines: "\n".join([*lines, ""]))
"""Texts that look like TOML; many are, others use a name twice or in two ways."""
