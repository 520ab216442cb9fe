"""The colours of the charts: seen on both grounds, and told apart by everybody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest

_STYLE = Path(__file__).parents[2] / "functions/log_view/static/style.css"
_GRAPHICS_CONTRAST = 3.0  # WCAG 2.2, 1.4.11
_ALIKE = 0.08  # in OKLab, where 0.02 is about the least difference that is seen side by side
# Machado, Oliveira and Fernandes 2009, table 1, all of the deficiency; on linear RGB
_SEEN_BY = {
    "everybody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "who lacks red": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "who lacks green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "who lacks blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.793617785, -0.0040720468),
    (1.9779984951, -2.428592205, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.808675766),
)

Colour = Sequence[float]


def _palette(scheme: str) -> dict[str, str]:
    light, dark = _STYLE.read_text().split("@media (prefers-color-scheme: dark)")[:2]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", light if scheme == "light" else dark))


def _linear(text: str) -> Colour:
    digits = text[1:] if len(text) == 7 else "".join(digit * 2 for digit in text[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def _times(matrix: Sequence[Colour], colour: Colour) -> Colour:
    return [sum(factor * part for factor, part in zip(row, colour, strict=True)) for row in matrix]


def _oklab(linear: Colour) -> Colour:
    return _times(_TO_LAB, [max(part, 0) ** (1 / 3) for part in _times(_TO_LMS, linear)])


def _contrast(one: str, other: str) -> float:
    lights = sorted(sum(f * p for f, p in zip((0.2126, 0.7152, 0.0722), _linear(c), strict=True)) for c in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_series_stands_out_from_the_page(scheme: str) -> None:
    colours = _palette(scheme)

    faint = {f"s{n}": _contrast(colours[f"s{n}"], colours["page"]) for n in range(1, 9)}

    assert {name: contrast for name, contrast in faint.items() if contrast < _GRAPHICS_CONTRAST} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("who", _SEEN_BY)
def test_no_two_series_look_alike(scheme: str, who: str) -> None:
    colours = _palette(scheme)
    seen = {f"s{n}": _oklab(_times(_SEEN_BY[who], _linear(colours[f"s{n}"]))) for n in range(1, 9)}

    alike = {
        f"{one} {other}": round(apart, 3)
        for one, other in combinations(seen, 2)
        if (apart := sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5) < _ALIKE
    }

    assert alike == {}
