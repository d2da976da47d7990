"""The page's colours, light and dark. Text keeps a contrast of 4.5 on what it stands on (WCAG 2.2, 1.4.3), marks of
charts 3 (1.4.11); a test computes both. Series are Okabe and Ito's, told apart by colour-blind readers."""

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "page": "#f4f5f7",
    "paper": "#ffffff",
    "soft": "#eef1f4",
    "ink": "#1c2128",
    "muted": "#57606a",
    "grid": "#d8dde3",
    "link": "#0b5cad",
    "blue": "#0072b2",
    "purple": "#b85c96",
    "orange": "#b97f00",
    "green": "#008761",
    "sky": "#3a94cf",
    "red": "#d55e00",
    "seen-text": "#0a5a41",
    "seen-back": "#d9f0e7",
    "made-text": "#14507e",
    "made-back": "#dcebf7",
    "given-text": "#4a525c",
    "given-back": "#e6e9ed",
    "sure-text": "#ffffff",
    "sure-back": "#5b3a8c",
    "guess-text": "#6b4a00",
    "guess-back": "#f8ebcd",
    "hit-text": "#8c2f0a",
    "hit-back": "#fbe3d8",
}
DARK: Mapping[str, str] = {
    "page": "#0f1216",
    "paper": "#171b21",
    "soft": "#20262e",
    "ink": "#e7eaee",
    "muted": "#a4adb8",
    "grid": "#333b45",
    "link": "#7ab8f5",
    "blue": "#3d9ddb",
    "purple": "#d68ab6",
    "orange": "#e69f00",
    "green": "#1fb386",
    "sky": "#7cc8f2",
    "red": "#f0803c",
    "seen-text": "#8fe0c3",
    "seen-back": "#123a2e",
    "made-text": "#a5d0f5",
    "made-back": "#16324a",
    "given-text": "#c3cad3",
    "given-back": "#2b323b",
    "sure-text": "#ffffff",
    "sure-back": "#7450ab",
    "guess-text": "#f3cf86",
    "guess-back": "#40310c",
    "hit-text": "#ffb695",
    "hit-back": "#4a2212",
}
#: What text stands on what.
TEXT = (
    *((text, back) for text in ("ink", "muted", "link") for back in ("page", "paper", "soft")),
    *((f"{word}-text", f"{word}-back") for word in ("seen", "made", "given", "sure", "guess", "hit")),
)
#: Marks of charts, on paper.
MARKS = ("blue", "purple", "orange", "green", "sky", "red", "muted", "ink")

#: Word → look, and what it says of a figure.
WORDS: Mapping[str, tuple[str, str]] = {
    "measured": ("seen", "timed on the device itself, or counted on test inputs"),
    "emulated": ("given", "measured over a link that was slowed down here to be like another"),
    "predicted": ("made", "computed by the planner from the profiles of both devices and the link"),
    "modelled": ("given", "computed from published constants; the device was not at hand"),
    "imported": ("given", "somebody else's figure, taken as it was found"),
    "proven": ("sure", "holds whoever attacks, on average over this data distribution"),
    "estimated": ("guess", "may be off either way; guarantees nothing"),
    "attacked": ("hit", "what the attacks tried here got; a stronger one may get more"),
}


def variables(colours: Mapping[str, str]) -> str:
    """As CSS custom properties."""
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
