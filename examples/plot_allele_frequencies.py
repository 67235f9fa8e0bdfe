r"""
Allele frequencies of the ABO blood groups
==========================================

Three alleles, A, B and O, make four blood groups: A and B show whenever they are there, O
only when it is alone. Of a person of group A one does not see whether the genes are AA or AO.
With allele frequencies :math:`p, q, r` and random mating the groups have probabilities

.. math::
   P(A) = p^2 + 2pr, \quad P(B) = q^2 + 2qr, \quad P(AB) = 2pq, \quad P(O) = r^2 .

Counting the genes so is older than the name EM (Ceppellini, Siniscalco and Smith 1955, Annals of
Human Genetics 20, 97-115). This page writes it as a model of its own.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import chi2

import latentem
from latentem import Expectation, LatentModel, Simplex

# %%
# The model
# ---------
#
# The E step shares the :math:`n_A` people of group A out between the two genotypes,
#
# .. math:: n_{AA} = n_A \frac{p^2}{p^2 + 2pr}, \qquad n_{AO} = n_A \frac{2pr}{p^2 + 2pr},
#
# and those of group B likewise. Each person has two genes, so the M step counts genes:
#
# .. math:: p = \frac{2 n_{AA} + n_{AO} + n_{AB}}{2n}, \quad
#    q = \frac{2 n_{BB} + n_{BO} + n_{AB}}{2n}, \quad
#    r = \frac{2 n_O + n_{AO} + n_{BO}}{2n} .
#
# The data are rows (place, people of groups A, B, AB, O), so that samples of several places add up.


class Alleles(NamedTuple):
    frequencies: np.ndarray  # of A, B and O


class BloodGroups(LatentModel):
    def initialize(self, blocks, rng):
        return Alleles(np.full(3, 1 / 3))

    def e_step(self, params, counts):
        p, q, r = params.frequencies
        groups = np.array([p * (p + 2 * r), q * (q + 2 * r), 2 * p * q, r * r])
        a, b, ab, o = counts.sum(axis=0)  # people
        aa, bb = a * p / (p + 2 * r), b * q / (q + 2 * r)  # of two equal genes
        genes = np.array([a + aa + ab, b + bb + ab, 2 * o + (a - aa) + (b - bb)])
        people = counts.sum()
        return Expectation(genes, float(counts.sum(axis=0) @ np.log(groups)), people)

    def m_step(self, genes, params):
        return Alleles(genes / genes.sum())

    def constraints(self):
        return Alleles(Simplex())

    def expected_loglik(self, params, genes):  # Q, up to a constant
        return float(genes @ np.log(params.frequencies))


counts = np.array([[186.0, 38.0, 13.0, 284.0]])  # A, B, AB, O
result = latentem.EM(stopping="step", tol=1e-12).run(BloodGroups(), counts)
errors = latentem.standard_errors(result, counts)
print(result.reason.sentence, result.n_iter, "maps")
for allele, frequency, error in zip(
    "ABO", result.params.frequencies, errors["frequencies"], strict=True
):
    print(f"{allele}: {frequency:.10f}, standard error {error:.4f}")

# %%
# The errors hold what the hidden genotypes cost: with every genotype seen, that of A would be
# :math:`\sqrt{p(1-p)/2n}`, which is smaller.

p, q, r = result.params.frequencies
print(f"A, genotypes seen: standard error {np.sqrt(p * (1 - p) / (2 * counts.sum())):.4f}")
print(latentem.testing.check_model(BloodGroups(), counts))

# %%
# Does random mating hold? Four groups less one, less two free frequencies, leave one degree of
# freedom for a chi-squared test of the fit.

genotypes = counts.sum() * np.array([p * p, 2 * p * r, q * q, 2 * q * r, 2 * p * q, r * r])
expected = np.add.reduceat(genotypes, [0, 2, 4, 5])
distance = float(((counts[0] - expected) ** 2 / expected).sum())
print(f"expected {expected.round(1)}, chi-squared {distance:.2f}, p = {chi2.sf(distance, 1):.3f}")

# %%
# Few maps are enough. On the right, the people of the four groups and the genotypes behind them,
# as expected at the estimate (too few are BB to be told); the dots are the counts.

em = latentem.EM(accelerate=None, stopping="step", tol=1e-6)
path = np.array([s.params.frequencies for s in em.iterate(BloodGroups(), counts)])

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.3), layout="constrained")
for allele, line, colour in zip("ABO", path.T, ("#0072B2", "#D55E00", "#666666"), strict=True):
    left.plot(line, "o-", color=colour, markersize=4)
    left.annotate(
        allele, (len(path) - 1, line[-1]), (8, 0), textcoords="offset points", va="center"
    )
left.set(xlabel="EM maps", ylabel="frequency of the allele", ylim=(0, 1))

bars = [
    ("A", "AA", "#0072B2"), ("A", "AO", "#8EC3E6"), ("B", "BB", "#D55E00"), ("B", "BO", "#F3B58A"),
    ("AB", "AB", "#009E73"), ("O", "OO", "#BBBBBB"),
]  # fmt: skip
height = dict.fromkeys(("A", "B", "AB", "O"), 0.0)
for (group, genotype, colour), people in zip(bars, genotypes, strict=True):
    right.bar(group, people, bottom=height[group], color=colour)
    if people > 20:
        right.annotate(genotype, (group, height[group] + people / 2), ha="center", va="center")
    height[group] += people
right.plot(list(height), counts[0], "o", color="black", markersize=4, label="counted")
right.set(xlabel="blood group", ylabel="people")
right.legend(frameon=False, loc="upper center")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
