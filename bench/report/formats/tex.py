"""Text for pdflatex: ASCII alone, which needs no package and no font beside Computer Modern.

Signs that a label may have are mapped. Whatever else there is stands as its number in brackets (``[U+4E2D]``), for one
sign that TeX does not know would leave no document at all.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping

from bench.text import on_one_line, visible


def _pairs(table: str) -> dict[str, str]:
    words = table.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_TEXT: Mapping[str, str] = {
    **{sign: f"\\{sign}" for sign in "%_&#${}"},
    **{
        sign: f"\\{name}{{}}"
        for sign, name in _pairs("""
        \\ textbackslash ~ textasciitilde ^ textasciicircum ` textquoteleft ‘ textquoteleft “ textquotedblleft
        … dots – textendash ‒ textendash — textemdash ― textemdash ¡ textexclamdown ¿ textquestiondown § S ¶ P £ pounds
        ß ss Æ AE æ ae Œ OE œ oe Ø O ø o Ł L ł l ı i ȷ j
    """).items()
    },
    **_pairs("\" '' ’ ' ‚ , ” '' „ ,{}, ‐ - ‑ - ⁄ / € EUR © (c) ® (R) \u00ad \\-"),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\ufe0e\ufe0f", ""),
    "\u00a0": "~",
}
_MATH: Mapping[str, str] = {
    **{
        sign: f"\\{name}"
        for sign, name in _pairs("""
        ± pm ∓ mp × times ÷ div · cdot ∙ cdot ∗ ast ∘ circ • bullet
        ≤ le ≥ ge ⩽ le ⩾ ge ≪ ll ≫ gg « ll » gg ≠ ne ≈ approx ≃ simeq ≅ cong ≡ equiv ∼ sim ∝ propto
        ← leftarrow → rightarrow ↑ uparrow ↓ downarrow ↔ leftrightarrow ↕ updownarrow ↗ nearrow ↘ searrow
        ⇐ Leftarrow ⇒ Rightarrow ⇑ Uparrow ⇓ Downarrow ⇔ Leftrightarrow ↦ mapsto
        ⟵ longleftarrow ⟶ longrightarrow ⟷ longleftrightarrow
        ∑ sum ∏ prod ∫ int √ surd ∂ partial ∇ nabla ∆ Delta ∞ infty ℓ ell ℜ Re ℑ Im
        ∅ emptyset ∀ forall ∃ exists ¬ neg ∧ wedge ∨ vee ∩ cap ∪ cup ∈ in ∋ ni ∉ notin
        ⊂ subset ⊃ supset ⊆ subseteq ⊇ supseteq ⊕ oplus ⊗ otimes ⊙ odot ⊥ perp ∥ parallel ‖ Vert
        ⟨ langle ⟩ rangle ⌊ lfloor ⌋ rfloor ⌈ lceil ⌉ rceil
        † dagger ‡ ddagger ★ star ☆ star ✓ surd ✔ surd ✗ times ✘ times △ triangle ◇ diamond
        ♣ clubsuit ♥ heartsuit ♦ diamondsuit ♠ spadesuit
        α alpha β beta γ gamma δ delta ε varepsilon ϵ epsilon ζ zeta η eta θ theta ϑ vartheta ι iota κ kappa λ lambda
        μ mu µ mu ν nu ξ xi π pi ϖ varpi ρ rho ϱ varrho σ sigma ς varsigma τ tau υ upsilon φ varphi ϕ phi χ chi
        ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega
    """).items()
    },
    # Capitals that look like Latin ones, which TeX has no others for.
    **{greek: rf"\mathrm{{{latin}}}" for greek, latin in zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧ", "ABEZHIKMNOPTX", strict=True)},
    **{sign: rf"\mathbf{{{letter}}}" for sign, letter in zip("ℝℕℤℚℂ", "RNZQC", strict=True)},
    **{sign: f"^{{{plain}}}" for sign, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni", strict=True)},
    **{sign: f"_{{{plain}}}" for sign, plain in zip("₀₁₂₃₄₅₆₇₈₉₊₋ᵢⱼₖₙ", "0123456789+-ijkn", strict=True)},
    **_pairs("< < > > | | − - ‹ < › > ο o ° ^{\\circ} ′ ' ″ '' ™ ^{\\mathrm{TM}}"),
}
# Of each combining mark, the accent over text and over mathematics.
_ACCENTS: Mapping[str, tuple[str, str]] = {
    "\u0300": ("`", "grave"),
    "\u0301": ("'", "acute"),
    "\u0302": ("^", "hat"),
    "\u0303": ("~", "tilde"),
    "\u0304": ("=", "bar"),
    "\u0306": ("u", "breve"),
    "\u0307": (".", "dot"),
    "\u0308": ('"', "ddot"),
    "\u030a": ("r", "mathring"),
    "\u030b": ("H", "ddot"),
    "\u030c": ("v", "check"),
    "\u0323": ("d", "underline"),
    "\u0327": ("c", "underline"),
    "\u0331": ("b", "underline"),
}


def escape(text: str) -> str:
    """The text as LaTeX sets it, on one line and in ASCII; what stands in backticks is code."""
    parts = enumerate(re.split(r"`([^`]*)`", on_one_line(visible(text))))
    escaped = "".join(rf"\texttt{{{_plain(part)}}}" if i % 2 else _plain(part) for i, part in parts)
    # After a line's end these would be taken for what it may be followed by: \\* and \\[1cm].
    return re.sub(r"\A( *)([\[*])", r"\1{\2}", escaped)


def label(name: str) -> str:
    r"""A name that ``\label`` and ``\ref`` take."""
    return "tab:" + (re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "table")


def _plain(text: str) -> str:
    # Two hyphens would be joined to a dash.
    return re.sub("-(?=-)", "-{}", "".join(map(_sign, _clusters(unicodedata.normalize("NFC", text)))))


def _clusters(text: str) -> Iterator[tuple[str, str]]:
    """Each sign, and the combining marks that follow it."""
    for match in re.finditer(r"(.)([\u0300-\u036f]*)", text, re.DOTALL):
        yield match[1], match[2]


def _sign(cluster: tuple[str, str]) -> str:
    base, marks = cluster
    if base in _TEXT or base in _MATH or base.isascii():
        return _accented(base, marks)
    apart = unicodedata.normalize("NFD", base)
    if len(apart) > 1:
        return _accented(apart[0], apart[1:] + marks)
    if unicodedata.category(base) == "Zs":
        return " "
    alike = unicodedata.normalize("NFKC", base)  # a ligature, a letter in another style
    return (_plain(alike) if alike != base else _number(base)) + "".join(map(_number, marks))


def _accented(base: str, marks: str) -> str:
    """A sign with its accents; those that TeX lacks follow it as numbers."""
    if not (base in _TEXT or base in _MATH or (base.isascii() and base.isprintable())):
        return "".join(map(_number, base + marks))
    set_in, kind = (_MATH[base], 1) if base in _MATH else (_TEXT.get(base, base), 0)
    known = [mark for mark in marks if mark in _ACCENTS]
    for mark in known:
        set_in = f"\\{_ACCENTS[mark][kind]}{{{set_in}}}"
    rest = "".join(_number(mark) for mark in marks if mark not in known)
    return (f"${set_in}$" if kind else set_in) + rest


def _number(sign: str) -> str:
    """What stands for a sign that TeX lacks; a line may end after it, as after most signs of other scripts."""
    return rf"\texttt{{[U+{ord(sign):04X}]}}\allowbreak{{}}"
