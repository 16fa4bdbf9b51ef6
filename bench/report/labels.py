"""Texts that fit."""

from textwrap import shorten


def short(text: str, width: int = 46) -> str:
    """A label of at most so many letters; spaces are one each, and a first word that is longer is cut."""
    whole = shorten(text, width, placeholder=" …")
    return whole if whole.strip() != "…" else f"{text.strip()[: width - 1]}…"
