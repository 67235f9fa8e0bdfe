"""
EM step by step
===============

What happens in one iteration of EM, drawn. The data are 1000 draws from a mixture of two
Gaussians, N(2, sd 4) with probability 0.6 and N(9, sd 2) with probability 0.4. Which of
the two a row came from is not recorded: it is the latent variable.
"""

import matplotlib.pyplot as plt
import numpy as np

import latentem
from latentem.families import Gaussian, GaussianParams
from latentem.models import Mixture, MixtureParams

x = latentem.datasets.two_gaussians(1000, random_state=0).data
model = Mixture(Gaussian(), 2)

# %%
# `EM.iterate` climbs from a start and yields a state after every E-step: the parameters,
# the expected statistics and the log-likelihood at those very parameters. Plain EM is
# chosen here, to see each step; the start is far off on purpose.

start = MixtureParams(
    weights=np.array([0.5, 0.5]),
    family=GaussianParams(means=np.array([[0.0], [5.0]]), covariances=np.array([[[9.0]], [[9.0]]])),
)
em = latentem.EM(accelerate=None, tol=1e-6)
states = list(em.iterate(model, x, start=start))
for state in states[:4] + states[-1:]:
    means = state.params.family.means[:, 0]
    print(f"map {state.n_iter:>3}  means {means.round(3)}  log-likelihood {state.loglik:.4f}")
print(states[-1].reason.sentence)

# %%
# The E-step
# ----------
#
# At parameters :math:`\theta_t` the E-step finds, for each row, the posterior probability
# of each component,
#
# .. math:: r_{ik} = \pi_k f_k(x_i) \Big/ \sum_l \pi_l f_l(x_i),
#
# and from these the expected statistics: the weight :math:`N_k = \sum_i r_{ik}`, mean and
# scatter of the rows that each component explains. In the figure each bar of the histogram
# is shared out between the components by the posteriors of its rows.

BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#222222"
block = model.blocks(x)[0]  # the data are small: one block
edges = np.linspace(-10, 15, 26)
line = np.linspace(-10, 15, 400)[:, None]


def posteriors(params):
    return model.posterior(model.prepare(params), block)[0]  # (2, 1000)


def draw_e_step(ax, params):
    shares = posteriors(params)
    ax.hist(
        [x[:, 0], x[:, 0]], edges, weights=list(shares), stacked=True,
        color=[BLUE, ORANGE], alpha=0.45,
    )  # fmt: skip
    log_density = model.family.log_density(model.family.prepare(params.family), line)
    expected = len(x) * (edges[1] - edges[0]) * params.weights[:, None] * np.exp(log_density)
    for k, colour in enumerate((BLUE, ORANGE)):
        ax.plot(line, expected[k], color=colour, label=f"component {k}")
    ax.plot(line, expected.sum(axis=0), color=INK, linewidth=1, linestyle="--", label="mixture")
    ax.set(xlabel="x", ylabel="rows per bar")
    ax.spines[["top", "right"]].set_visible(False)


fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
draw_e_step(ax, states[0].params)
ax.set_title("E-step at the start: every row is shared out")
ax.legend(frameon=False, fontsize="small")
plt.show()

# %%
# The bound
# ---------
#
# The posteriors define a function of the parameters that is easy to maximise,
#
# .. math::
#
#    B(\theta \mid \theta_t) =
#    \underbrace{\sum_{ik} r_{ik} \log [\pi_k f_k(x_i)]}_{Q(\theta \mid \theta_t)}
#    \underbrace{- \sum_{ik} r_{ik} \log r_{ik}}_{H_t}
#    \;\le\; \ell(\theta),
#
# with equality at :math:`\theta = \theta_t`. :math:`Q` is the expected log-likelihood of
# the complete data, and depends on the data through the statistics only; the entropy
# :math:`H_t` does not depend on :math:`\theta`. That :math:`B` lies below
# :math:`\ell` is Jensen's inequality; that both have the same slope at :math:`\theta_t`
# is Fisher's identity.
#
# The figure follows one of the five parameters, the mean of component 1, with the other
# four held at :math:`\theta_t`.


def entropy(params):
    r = posteriors(params)
    return -np.sum(r * np.log(np.where(r > 0, r, 1.0)))


def moved(params, mean):
    """The same parameters with another mean of component 1."""
    means = np.array([params.family.means[0], [mean]])
    return params._replace(family=params.family._replace(means=means))


def loglik(params):
    return model.e_step(model.prepare(params), block).loglik


def bound(params, state):
    return model.expected_loglik(params, state.statistics) + entropy(state.params)


def draw_bound(ax, state):
    here = state.params.family.means[1, 0]
    best = state.statistics.family.mean[1, 0]  # where the M-step puts this mean
    error = np.sqrt(state.params.family.covariances[1, 0, 0] / state.statistics.counts[1])
    reach = max(1.2 * abs(best - here), 3 * error)
    grid = np.linspace(min(here, best) - reach, max(here, best) + reach, 81)
    true = [loglik(moved(state.params, mean)) for mean in grid]
    below = [bound(moved(state.params, mean), state) for mean in grid]
    assert np.all(np.array(below) <= np.array(true) + 1e-9)  # a bound, indeed
    ax.plot(grid, true, color=INK, label=r"log-likelihood $\ell$")
    ax.plot(grid, below, color="#009E73", label=r"bound $B = Q + H$")
    ax.plot(here, state.loglik, "o", color=INK, label=r"now: $B = \ell$")
    peak = bound(moved(state.params, best), state)
    ax.plot(best, peak, "^", color="#009E73", label="maximum of the bound")
    ax.set(xlabel="mean of component 1", ylabel="nats")
    ax.spines[["top", "right"]].set_visible(False)


fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
draw_bound(ax, states[0])
ax.set_title("The bound touches the log-likelihood where the E-step was made")
ax.legend(frameon=False, fontsize="small", loc="lower right")
plt.show()

# %%
# That it touches is checked here at every state of the climb.

for state in states:
    assert np.isclose(bound(state.params, state), state.loglik, rtol=1e-12, atol=0)

# %%
# The M-step
# ----------
#
# The M-step goes to the maximum of the bound. For a Gaussian mixture that is in closed
# form: :math:`\pi_k = N_k / n`, and the mean and the scatter over :math:`N_k` of the rows
# as they were shared out. At the new point the log-likelihood is at least as high as the
# bound there, so it cannot have fallen. Then the E-step makes a new bound, which touches
# at the new point.
#
# Each row of the figure is one state: left the posteriors, right the bound that the M-step
# is about to climb.

shown = [states[0], states[1], states[3], states[10], states[-1]]
fig, axes = plt.subplots(len(shown), 2, figsize=(9, 2.5 * len(shown)), layout="constrained")
for (left, right), state in zip(axes, shown, strict=True):
    draw_e_step(left, state.params)
    draw_bound(right, state)
    left.set_title(f"map {state.n_iter}: E-step", fontsize="medium")
    right.set_title(f"log-likelihood {state.loglik:.2f}", fontsize="medium")
axes[0, 0].legend(frameon=False, fontsize="small")
axes[0, 1].legend(frameon=False, fontsize="x-small", loc="lower right")
plt.show()

# %%
# The narrower the bound against the log-likelihood, the shorter the steps: the bound is as
# curved as if the components had been recorded, the log-likelihood is flatter because they
# were not. Near the end the gain of a step is a constant share of the one before. That
# share is the rate of convergence, and the gains still to come add up to
# :math:`g\,\rho / (1 - \rho)` after a gain :math:`g` at rate :math:`\rho`: this projection is what
# latentem stops on.

gains = np.diff([state.loglik for state in states])
last = states[-1]
print(f"rate of convergence {last.rate:.4f}, last gain {gains[-1]:.2e}")
print(f"projected remaining gain {last.projected_gain:.2e} nats")

fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
maps = [state.n_iter for state in states]
ax.semilogy(maps[1:], gains, color=BLUE, label="gain of the step")
projected = [state.projected_gain for state in states]
ax.semilogy(maps, projected, color=ORANGE, linestyle="--", label="projected remaining gain")
ax.set(xlabel="EM maps", ylabel="nats")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()
