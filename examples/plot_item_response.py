r"""
Item response: five questions of a law school test
==================================================

Each person has an ability :math:`\theta \sim N(0, 1)`, which is not seen, and answers question j
rightly with a probability that rises with it. With the two-parameter logistic model,

.. math::
   P(x_j = 1 \mid \theta) = \frac{1}{1 + e^{-(a_j \theta + c_j)}} ,

a question has a slope :math:`a_j`, how well it tells the able from the others, and an intercept
:math:`c_j`, how easy it is. Bock and Aitkin (1981, doi:10.1007/BF02293801) put the abilities on
a grid and let EM do the rest. This page writes their algorithm as a model of its own.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit, log_expit, logsumexp
from scipy.stats import chi2

import latentem
from latentem import Expectation, LatentModel, Real

# %%
# The model
# ---------
#
# The grid is that of Gauss and Hermite: abilities :math:`z_q` with weights :math:`w_q`, which
# integrate smooth functions times a normal density almost exactly. The E step spreads the people
# of each pattern of answers over the grid,
#
# .. math:: t_{iq} = \frac{w_q P(x_i \mid z_q)}{\sum_s w_s P(x_i \mid z_s)}, \qquad
#    n_q = \sum_i t_{iq}, \quad r_{qj} = \sum_i t_{iq} x_{ij} ,
#
# where each pattern counts for as many people as have it: :math:`n_q` people of ability
# :math:`z_q` are expected, of whom :math:`r_{qj}` answer j rightly. The M step is a logistic
# regression of these shares on the grid, by Newton's method. In its design the logit of node q
# and question j is :math:`c_j + a_j z_q`; where all slopes are to be equal (the one-parameter
# model), they are one column.


class Items(NamedTuple):
    intercepts: np.ndarray  # (questions,)
    slopes: np.ndarray  # (questions,), or (1,) for all


class Abilities(NamedTuple):
    people: np.ndarray  # (nodes, 1), expected
    right: np.ndarray  # (nodes, questions), expected right answers


class LogisticItems(LatentModel):
    def __init__(self, equal_slopes=False, n_nodes=41):
        nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
        self.nodes, self.log_weights = nodes[:, None], np.log(weights / weights.sum())
        self.equal_slopes = equal_slopes

    def initialize(self, blocks, rng):
        answers, _ = blocks[0]
        n_questions = answers.shape[1]  # slopes above 0: ability, not its mirror image
        return Items(np.zeros(n_questions), np.ones(1 if self.equal_slopes else n_questions))

    def posterior(self, params, answers):  # (patterns, nodes), and log-likelihoods (patterns,)
        logits = params.intercepts + self.nodes * params.slopes
        joint = answers @ log_expit(logits).T + (1 - answers) @ log_expit(-logits).T
        joint += self.log_weights
        logliks = logsumexp(joint, axis=1)
        return np.exp(joint - logliks[:, None]), logliks

    def e_step(self, params, block):
        answers, people = block
        posterior, logliks = self.posterior(params, answers)
        spread = (posterior * people[:, None]).T
        statistics = Abilities(spread.sum(axis=1, keepdims=True), spread @ answers)
        return Expectation(statistics, float(people @ logliks), people.sum())

    def m_step(self, statistics, params):
        n_questions, n_slopes = len(params.intercepts), len(params.slopes)
        questions = np.tile(np.eye(n_questions), (len(self.nodes), 1))
        slopes = np.ones((len(questions), 1)) if n_slopes == 1 else questions
        design = np.hstack([questions, slopes * np.repeat(self.nodes, n_questions, axis=0)])
        people, right = np.repeat(statistics.people, n_questions), statistics.right.ravel()
        both = np.concatenate(params)
        for _ in range(50):  # a few are enough
            chances = expit(design @ both)
            curvature = (design.T * (people * chances * (1 - chances))) @ design
            step = np.linalg.solve(curvature, design.T @ (right - people * chances))
            both = both + step / max(1.0, np.abs(step).max())  # never farther than 1
            if np.abs(step).max() < 1e-10:
                break
        return Items(both[:n_questions], both[n_questions:])

    def constraints(self):
        return Items(Real(), Real())

    def expected_loglik(self, params, statistics):  # Q, up to a constant
        people, right = statistics
        logits = params.intercepts + self.nodes * params.slopes
        return float((right * log_expit(logits) + (people - right) * log_expit(-logits)).sum())

    def sample(self, params, n, rng):
        chances = expit(params.intercepts + rng.normal(size=(n, 1)) * params.slopes)
        return (rng.random(chances.shape) < chances).astype(float), np.ones(n)


# %%
# 1000 people answered five questions of the Law School Admission Test; the data are the 32
# patterns of right and wrong, with the number of people who have each. Are equal slopes enough?

lsat = latentem.datasets.load_lsat6()
data = np.asarray(lsat.data), lsat.weights
em = latentem.EM(stopping="step", tol=1e-8, max_iter=2000)
fits = {}
for name, equal in {"equal slopes": True, "free slopes": False}.items():
    fits[name] = em.run(LogisticItems(equal), data)
    print(f"{name}: log-likelihood {fits[name].loglik:.4f}")
gain = 2 * (fits["free slopes"].loglik - fits["equal slopes"].loglik)
print(f"likelihood ratio {gain:.2f} on 4 degrees of freedom, p = {chi2.sf(gain, 4):.2f}")

# %%
# They are. Still, to see them apart, the free slopes with their standard errors. The difficulty
# :math:`-c_j / a_j` is the ability at which half of the people are right.

free = fits["free slopes"]
errors = latentem.standard_errors(free, data)
print("question  slope (error)    intercept (error)  difficulty")
for j, (slope, intercept) in enumerate(
    zip(free.params.slopes, free.params.intercepts, strict=True)
):
    print(
        f"{j + 1:<9d} {slope:.3f} ({errors['slopes'][j]:.3f})    {intercept:.3f} "
        f"({errors['intercepts'][j]:.3f})      {-intercept / slope:.2f}"
    )

# %%
# The check of the contract, for both models; it simulates answers and fits them again as well.

models = LogisticItems(equal_slopes=True), LogisticItems()
reports = [latentem.testing.check_model(model, data, weights=1) for model in models]
print(reports[-1])

# %%
# On the left the curves of the questions: all are easy, the third is the hardest. On the right the
# ability expected of each pattern, :math:`\sum_q t_{iq} z_q`. With equal slopes it depends on the
# number of right answers alone; with free slopes it matters a little which they are.

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
abilities = np.linspace(-4, 4, 200)
for j, (colour, line) in enumerate(zip(COLOURS, ("-", "--", "-.", ":", (0, (5, 1))), strict=True)):
    chances = expit(free.params.intercepts[j] + free.params.slopes[j] * abilities)
    left.plot(abilities, chances, color=colour, linestyle=line, label=f"question {j + 1}")
left.set(xlabel="ability", ylabel="probability of a right answer", ylim=(0, 1))
left.legend(frameon=False)

answers, people = data
seen = people > 0
for (name, fit), colour in zip(fits.items(), ("#D55E00", "#0072B2"), strict=True):
    model = LogisticItems()
    expected = (model.posterior(fit.params, answers[seen])[0] @ model.nodes)[:, 0]
    place = answers[seen].sum(axis=1) + (0.12 if name == "free slopes" else -0.12)
    right.scatter(place, expected, s=2 + people[seen] / 2, color=colour, alpha=0.6, label=name)
right.set(xlabel="right answers", ylabel="expected ability")
for handle in right.legend(frameon=False).legend_handles:
    handle.set_sizes([30])
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
