r"""
Record linkage: who is in both lists
====================================

Two lists of people, with errors and without a common number: which records are of the same
person? Fellegi and Sunter (1969, doi:10.1080/01621459.1969.10501049) compare the fields of each
pair of records. Among pairs of one person field j agrees with probability :math:`m_j`, among
others, by chance, with probability :math:`u_j`. Which pairs are which is not seen, so a pattern
of agreements :math:`\gamma` comes from one of two latent classes,

.. math::
   P(\gamma) = \pi \prod_j m_j^{\gamma_j} (1 - m_j)^{1 - \gamma_j}
   + (1 - \pi) \prod_j u_j^{\gamma_j} (1 - u_j)^{1 - \gamma_j} .

The E step computes the posterior :math:`r_\gamma` that a pair of pattern :math:`\gamma` is a
match; with :math:`n_\gamma` pairs of each pattern the M step is
:math:`\pi = \sum_\gamma n_\gamma r_\gamma / n` and
:math:`m_j = \sum_\gamma n_\gamma r_\gamma \gamma_j / \sum_\gamma n_\gamma r_\gamma`, and
:math:`u_j` likewise with :math:`1 - r_\gamma`.
"""

import matplotlib.pyplot as plt
import numpy as np

from latentem import LatentClass

# %%
# Two lists
# ---------
#
# Both are simulated. The second holds 400 of the 1000 people of the first and 400 others. One name
# out of eight has a wrong letter, days of birth are sometimes wrong, and some people have moved.

rng = np.random.default_rng(0)
GIVEN = ["anna", "maria", "john", "peter", "laura", "james", "ruth", "paul", "emma", "david"]
STEMS = ["smi", "ha", "mo", "ber", "lin", "gar", "wal", "ste", "fi", "ro"]
ENDS = ["th", "ley", "man", "son", "ton", "field", "ner", "wood"]
FIELDS = ["given name", "surname", "day", "month", "year", "place"]
ERRORS = [0.12, 0.12, 0.06, 0.03, 0.04, 0.15]  # of the second list


def people(n):
    return np.array(
        [
            rng.choice(GIVEN, n, p=np.arange(10, 0, -1) / 55),  # some are common
            rng.choice([stem + end for stem in STEMS for end in ENDS], n),
            rng.integers(1, 29, n),
            rng.integers(1, 13, n),
            rng.integers(1940, 2005, n),
            rng.choice(12, n, p=np.arange(12, 0, -1) / 78),
        ],
        dtype=object,
    ).T


def mistyped(name):
    place = rng.integers(len(name))
    return name[:place] + rng.choice(list("abcdefghijklmnopqrstuvwxyz")) + name[place + 1 :]


first, others, wrong = people(1000), people(400), people(800)
second = np.vstack([first[:400], others])
for record, instead in zip(second, wrong, strict=True):
    for field in np.flatnonzero(rng.random(6) < ERRORS):
        name = isinstance(record[field], str)
        record[field] = mistyped(record[field]) if name else instead[field]
for i in np.flatnonzero((first[:400] != second[:400]).any(axis=1))[:3]:
    print(*first[i], "  is  ", *second[i])

# %%
# All 800,000 pairs have one of :math:`2^6` patterns. The patterns are the rows, and how many pairs
# have each their weights, so that the size of the lists costs nothing in EM.

agree = np.stack([first[:, j][:, None] == second[:, j] for j in range(6)], axis=2)
codes = agree.astype(int) @ 2 ** np.arange(6)
same = np.zeros(codes.shape, dtype=bool)
same[np.arange(400), np.arange(400)] = True  # the truth, which the fit does not see
patterns = np.array([[code >> j & 1 for j in range(6)] for code in range(64)])
pairs = np.bincount(codes.ravel(), minlength=64).astype(float)

# %%
# The fit
# -------
#
# It starts where everyone would: matches are rare and mostly agree.

start = [[0.9, 0.1] * 6, [0.1, 0.9] * 6]  # disagrees, agrees, for each field
classes = LatentClass(
    2, n_categories=2, weights_init=[0.999, 0.001], emissionprob_init=start, tol=1e-6
)
classes.fit(patterns, sample_weight=pairs)
u, m = np.array([of_field[:, 1] for of_field in classes.probabilities_]).T
matches = same.sum()
print(f"{classes.weights_[1] * pairs.sum():.0f} matches expected, {matches} there are")
print("field        m      true   u      true   weight of agreement, of disagreement (bits)")
for j, field in enumerate(FIELDS):
    print(
        f"{field:<12} {m[j]:.3f}  {agree[same][:, j].mean():.3f}  {u[j]:.3f}  "
        f"{agree[~same][:, j].mean():.3f}  {np.log2(m[j] / u[j]):6.2f}  "
        f"{np.log2((1 - m[j]) / (1 - u[j])):6.2f}"
    )

# %%
# A rare agreement weighs more than a common one: :math:`\log_2 m_j / u_j` for an agreement,
# :math:`\log_2 (1 - m_j) / (1 - u_j)` for a disagreement, and the weights of the fields add up.
# With the odds of the shares they are the posterior, by which pairs are linked.

weights = patterns @ np.log2(m / u) + (1 - patterns) @ np.log2((1 - m) / (1 - u))
posterior = classes.predict_proba(patterns)[:, 1]
true = np.bincount(codes[same], minlength=64)
linked = posterior > 0.5
precision = true[linked].sum() / pairs[linked].sum()
recall = true[linked].sum() / matches
print(f"{pairs[linked].sum():.0f} links, precision {precision:.3f}, recall {recall:.3f}")

# %%
# On the left the two kinds of pairs by match weight, with the line where the posterior is one
# half. On the right what other lines would bring; the posterior foretells it without the truth.

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
edges = np.arange(np.floor(weights.min()), np.ceil(weights.max()) + 2, 2.0)
line = np.log2(classes.weights_[0] / classes.weights_[1])
for counts, name, colour in (
    (pairs - true, "of two people", "#BBBBBB"),
    (true, "of one person", "#0072B2"),
):
    left.hist(weights, edges, weights=counts, color=colour, alpha=0.8, label=name)
left.axvline(line, color="black", linewidth=1)
left.set(xlabel="match weight (bits)", ylabel="pairs", yscale="log", ylim=(0.5, 5e7))
left.legend(frameon=False, loc="upper left")

order = np.argsort(-weights)
order = order[pairs[order] > 0]
so_far = np.cumsum(pairs[order])
for counts, name, colour, style in (
    (true[order], "in truth", "#0072B2", "o"),
    ((pairs * posterior)[order], "as the fit expects", "#D55E00", "-"),
):
    found = np.cumsum(counts)
    right.plot(found / found[-1], found / so_far, style, color=colour, markersize=4, label=name)
right.set(xlabel="recall", ylabel="precision", ylim=(0, 1.03), xlim=(0, 1.03))
right.legend(frameon=False, loc="lower left")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
