"""The small template language in which the demo model's training texts are written.

`[a|b|c]` picks one branch (branches nest and may be empty), `{slot}` is replaced from a table. A text with
thirty three-way choices has more readings than the model will ever see, so it learns to write rather than
to recite.
"""

import re

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou](?!ni|seful|ne ))")
_SPACES = re.compile(r" {2,}")


def expand(template, slots, rng):
    """RETURNS: one reading of `template`; every choice is drawn from `rng`."""
    text = template
    while True:
        match = _CHOICE.search(text)  # innermost first, because branches hold no brackets
        if not match:
            break
        text = text[: match.start()] + rng.choice(match.group(1).split("|")) + text[match.end():]
    text = _SLOT.sub(lambda m: str(slots[m.group(1)]), text)
    return tidy(text)


def tidy(text):
    """Repairs what joining pieces breaks: double spaces, `a owl`, space before a stop."""
    text = _SPACES.sub(" ", text)
    text = re.sub(r" +([.,!?])", r"\1", text)
    text = re.sub(r" *\n *", "\n", text)
    text = re.sub(r'(\w)"([.,])', r'\1\2"', text)  # American style: the stop stands inside the quotes
    return _ARTICLE.sub(r"\1n ", text).strip()


def capital(text):
    return text[:1].upper() + text[1:]
