"""The design tokens: every word stands out enough from every surface, in light and in dark (WCAG 2.2 AA)."""

import re
from pathlib import Path

import pytest
from django.conf import settings

TOKENS = Path(settings.BASE_DIR, "static/css/tokens.css").read_text()
PAIRS = {
    name: (light, dark) for name, light, dark in re.findall(r"(--[\w-]+): light-dark\((#\w{6}), (#\w{6})\);", TOKENS)
}
WORDS = ("--ink", "--ink-2", "--ink-3", "--accent", "--warn", "--bad")
ON = {"--warn": "--warn-soft", "--bad": "--bad-soft", "--accent": "--accent-soft", "--accent-ink": "--accent"}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


class TestTokens:
    @pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
    @pytest.mark.parametrize("surface", ["--paper", "--card", "--sunk", "--raised"])
    @pytest.mark.parametrize("word", WORDS)
    def test_words_stand_out_from_every_surface(self, word: str, surface: str, theme: int) -> None:
        assert contrast(PAIRS[word][theme], PAIRS[surface][theme]) >= 4.5

    @pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
    @pytest.mark.parametrize(("word", "surface"), ON.items())
    def test_chips_and_buttons_can_be_read(self, word: str, surface: str, theme: int) -> None:
        assert contrast(PAIRS[word][theme], PAIRS[surface][theme]) >= 4.5

    def test_are_the_only_place_with_colours(self) -> None:
        for sheet in Path(settings.BASE_DIR, "static/css").glob("*.css"):
            if sheet.name != "tokens.css":
                assert not re.search(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(", sheet.read_text()), sheet
