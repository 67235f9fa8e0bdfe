"""
Messages in two languages: which word translates which?
=======================================================

Programs carry their messages in many languages, in catalogues of pairs: a message, and its
translation. That is parallel text, though a small one. From the pairs alone, and with no
dictionary, word alignment finds out which word stands for which.

The catalogues are those of the web framework Django. Where it is not installed, the German
messages that come with latentem are used, and the comparison of languages is left out.
"""

import gettext
import re
from pathlib import Path

import matplotlib.pyplot as plt

import latentem

try:
    import django
except ImportError:
    django = None

WORD = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}|\w+(?:[-’']\w+)*|[^\w\s]")


def messages(language):
    """Messages of Django and their translations, as lists of words, each message once."""
    pairs = {}
    for path in sorted(Path(django.__file__).parent.glob(f"**/locale/{language}/**/*.mo")):
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)._catalog
        for message, translation in catalogue.items():
            if isinstance(message, str) and message:  # plural forms have other keys
                pairs.setdefault(message.split("\x04")[-1], translation)
    return [(WORD.findall(a), WORD.findall(b)) for a, b in pairs.items()]


if django is None:
    bundled = latentem.datasets.load_django_messages()
    pairs = list(zip(bundled.source, bundled.target, strict=True))
    pairs = [(a.split(), b.split()) for a, b in pairs]
else:
    pairs = messages("de")
print(f"{len(pairs)} pairs, {sum(len(a) for a, _ in pairs)} English words")

# %%
# Three models
# ------------
#
# IBM Model 1 takes any source word to be as near as any other. Model 2 has a prior that
# translations stand near the diagonal, the hidden Markov model one for the jump from the
# source word of one target word to that of the next. Every tenth pair is held out; the
# perplexity there says how many words there might as well be to choose from, and sees words
# that no model has met.

held = [pair for k, pair in enumerate(pairs) if k % 10 == 0]
rest = [pair for k, pair in enumerate(pairs) if k % 10]
fits = {}
for model in ("ibm1", "ibm2", "hmm"):
    aligner = latentem.WordAligner(model, smoothing=0.01, symmetrization="grow-diag-final-and")
    fits[model] = aligner.fit(*zip(*rest, strict=True))
    seen, new = (aligner.perplexity(*zip(*part, strict=True)) for part in (rest, held))
    print(f"{model}: perplexity {seen:.2f}, of new pairs {new:.1f}")

# %%
# The table of translations is the dictionary that was learned. With some 800 pairs it knows
# the words that come often.

hmm = fits["hmm"]
for word in ("password", "must", "and", "Select"):
    best = [f"{other} {p:.2f}" for other, p in hmm.translation_table(word, 3)]
    print(f"{word:>10}: {', '.join(best)}")

# %%
# The links of one pair
# ---------------------
#
# This sentence is not in the catalogues. A dot is a link, and the darker a cell, the more
# probable; both directions are joined. Model 1 knows nothing of positions, so it cannot tell
# one full stop from the other, and scatters common words. The hidden Markov model gets those
# right, but with so little text it trusts the order too much: "enthalten", which German puts
# at the end, it links to the full stop instead of to "contain".

english = "Please enter a valid date . The password must contain at least one user ."
german = (
    "Bitte ein gültiges Datum eingeben . Das Passwort muss mindestens einen Benutzer enthalten ."
)
fig, axes = plt.subplots(1, 2, figsize=(12, 6.2), layout="constrained")
for ax, model in zip(axes, ("ibm1", "hmm"), strict=True):
    latentem.plot.alignment(fits[model], english, german, ax=ax)
    ax.set_title(model)
plt.show()
print(latentem.to_pharaoh(hmm.align([english], [german])[0]))

# %%
# How languages differ in their order
# -----------------------------------
#
# The weights of the jumps say how a language is put together, seen from English. One word
# ahead is the rule in each. A jump of 0 is a second word for the same English one, which
# French needs most; the tails are words that stand elsewhere, most of all in German.

languages = {"German": "de"}
if django is not None:
    languages |= {"French": "fr", "Spanish": "es"}
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
near = slice(4, 17)  # jumps from -6 to 6
for k, (name, code) in enumerate(languages.items()):
    text = pairs if code == "de" else messages(code)
    text = [(a, b) for a, b in text if len(a) > 3]
    model = latentem.WordAligner("hmm", smoothing=0.01).fit(*zip(*text, strict=True))
    ax.plot(range(-6, 7), model.jumps_[near], marker="os^"[k], markersize=5, label=name)
    stay, ahead = model.jumps_[10:12]
    print(f"{name}: weight of a jump of one {ahead:.2f}, of none {stay:.2f}, others "
          f"{1 - stay - ahead:.2f}")  # fmt: skip
ax.set_yscale("log")
ax.set_xticks(range(-6, 7))
ax.set_xlabel("jump (source words)")
ax.set_ylabel("weight")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
plt.show()
