r"""
Background subtraction by online EM
===================================

A camera that stands still sees the same background in every frame, and now and then something
passes. Each pixel p has a mixture of its own (Stauffer and Grimson 1999,
doi:10.1109/CVPR.1999.784637). Its brightness y, from 0 to 1, is one of two brightnesses of the
background, as where leaves move, or anything, as where something passes:

.. math:: f_p(y) = \pi_{p0} \cdot 1 + \sum_{k=1}^2 \pi_{pk} \, N(y; \mu_{pk}, \sigma_{pk}^2) .

Thousands of small mixtures side by side are one model. A unit of data is a frame, and online EM
looks at each only once.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp
from skimage import data

import latentem
from latentem import Expectation, LatentModel, Positive, Real, Simplex

# %%
# The model
# ---------
#
# The E step computes, for each frame t and pixel, the posteriors :math:`r_{tpk}` of the three
# sources; their sums over frames, alone and times :math:`y` and :math:`y^2`, are the statistics.
# Weak priors keep every pixel regular: a Dirichlet prior of the shares, and an inverse gamma prior
# of the variances, worth a frame or two. With them the M step is
#
# .. math::
#    \pi_{pk} \propto \sum_t r_{tpk} + a_k, \quad
#    \mu_{pk} = \frac{\sum_t r_{tpk} y_{tp}}{\sum_t r_{tpk}}, \quad
#    \sigma_{pk}^2 = \frac{\sum_t r_{tpk} (y_{tp} - \mu_{pk})^2 + 2b}{\sum_t r_{tpk} + 2} .

EXTRA = np.array([0.1, 1.0, 1.0])  # a, in frames
NOISE = 0.03**2  # b, where the prior of a variance is highest


class Pixels(NamedTuple):
    shares: np.ndarray  # (pixels, 3): anything, background, background
    means: np.ndarray  # (pixels, 2)
    variances: np.ndarray  # (pixels, 2)


class Sums(NamedTuple):
    frames: np.ndarray  # (pixels, 3)
    brightness: np.ndarray  # (pixels, 2)
    squares: np.ndarray  # (pixels, 2)


class Background(LatentModel):
    def initialize(self, blocks, rng):
        means = np.quantile(np.vstack(blocks), [0.2, 0.8], axis=0).T
        shares = np.tile([0.1, 0.45, 0.45], (len(means), 1))
        return Pixels(shares, means, np.full(means.shape, 4 * NOISE))

    def posterior(self, params, frames):  # (frames, pixels, 3), log-likelihoods (frames, pixels)
        gaps = (frames[:, :, None] - params.means) ** 2 / params.variances
        joint = np.empty((*frames.shape, 3))
        joint[:, :, 0] = 0.0
        joint[:, :, 1:] = -0.5 * (gaps + np.log(2 * np.pi * params.variances))
        joint += np.log(params.shares)
        loglik = logsumexp(joint, axis=2)
        return np.exp(joint - loglik[:, :, None]), loglik

    def e_step(self, params, frames):
        posterior, loglik = self.posterior(params, frames)
        behind, seen = posterior[:, :, 1:], frames[:, :, None]
        sums = [posterior, behind * seen, behind * seen**2]
        statistics = Sums(*(each.sum(axis=0) for each in sums))
        return Expectation(statistics, float(loglik.sum()), len(frames))

    def m_step(self, statistics, params):
        counts = statistics.frames + EXTRA
        frames = np.maximum(statistics.frames[:, 1:], 1e-300)
        some = statistics.frames[:, 1:] > 1e-9  # a source that is never seen keeps its mean
        means = np.where(some, statistics.brightness / frames, params.means)
        spread = statistics.squares - means * (2 * statistics.brightness - means * frames)
        variances = (np.maximum(spread, 0.0) + 2 * NOISE) / (frames + 2)
        return Pixels(counts / counts.sum(axis=1, keepdims=True), means, variances)

    def log_prior(self, params):
        of_shares = EXTRA * np.log(params.shares)
        of_variances = -np.log(params.variances) - NOISE / params.variances
        return float(of_shares.sum() + of_variances.sum())

    def constraints(self):
        return Pixels(Simplex(), Real(), Positive())

    def expected_loglik(self, params, statistics):  # Q
        frames, means = statistics.frames[:, 1:], params.means
        spread = statistics.squares - means * (2 * statistics.brightness - means * frames)
        normal = frames * np.log(2 * np.pi * params.variances) + spread / params.variances
        return float((statistics.frames * np.log(params.shares)).sum() - normal.sum() / 2)


# %%
# A short video
# -------------
#
# The photograph is real, the film is simulated, so that what passes is known. Wind moves the
# grass: in four frames of ten it stands a little to the left. A walker crosses the lawn, and a
# bird the sky.

rng = np.random.default_rng(0)
photograph = data.camera()[::4, ::4] / 255
leaning = np.hstack([data.camera()[::4, 4::4], data.camera()[::4, -1:]]) / 255
n_frames, (height, width) = 90, photograph.shape
row, column = np.indices(photograph.shape)
film, passing = np.empty((2, n_frames, height, width))
for t in range(n_frames):
    walker = (abs(row - 108) < 12) & (abs(column - (1.7 * t - 14)) < 4)
    bird = (row - 25 - 8 * np.sin(t / 8)) ** 2 + (column - (140 - 1.7 * t)) ** 2 < 12
    wind = (row > 95) & (rng.random() < 0.4)
    passing[t] = walker | bird
    film[t] = np.where(wind, leaning, photograph)
    film[t] = np.where(passing[t] == 1, 0.35, film[t])
film = np.clip(film + rng.normal(scale=0.02, size=film.shape), 0, 1)
frames = film.reshape(n_frames, -1)

# %%
# The fit
# -------
#
# `batch_size` says online EM: an M-step after every ten frames, by statistics averaged with steps
# that shrink (Cappé and Moulines 2009, doi:10.1111/j.1467-9868.2009.00698.x). One pass, and
# nothing of a frame is kept but its share of the sums. (The log-likelihoods before and after are
# of all frames; the fit itself does not need them.)

model = Background()
start, after = latentem.EM(batch_size=10, max_iter=1).iterate(model, frames)
print(f"log-likelihood {start.loglik:.0f} at the start, {after.loglik:.0f} after one pass")
foreground = model.posterior(after.params, frames)[0][:, :, 0].reshape(film.shape)

# %%
# For comparison, one normal distribution for each pixel: what lies farther than three standard
# deviations from the mean passes.

distance = abs(film - film.mean(axis=0)) / film.std(axis=0)


def scores(found):
    """Precision and recall over all pixels of all frames."""
    right = (found & (passing == 1)).sum()
    return right / found.sum(), right / passing.sum()


for name, found in {"mixtures": foreground > 0.5, "one normal": distance > 3}.items():
    precision, recall = scores(found)
    print(f"{name}: precision {precision:.3f}, recall {recall:.3f}")

fig, axes = plt.subplots(2, 4, figsize=(9, 4.6), layout="constrained")
for line, t in zip(axes, (30, 65), strict=True):
    shown = {
        f"frame {t}": (film[t], 1),
        "what passes": (passing[t], 1),
        "posterior of anything": (foreground[t], 1),
        "one normal: over 3 sd": (distance[t] > 3, 1),
    }
    for ax, (title, (image, top)) in zip(line, shown.items(), strict=True):
        ax.imshow(image, cmap="gray", vmin=0, vmax=top)
        ax.set_title(title, fontsize=10)
        ax.set_axis_off()
plt.show()

# %%
# Where the grass moves one normal distribution is wide, and the walker hides in it. The mixture
# knows both places of the grass. The faint shadows are what a single pass leaves: something passed
# there in one of the batches. The check of the contract, on a few pixels:

print(latentem.testing.check_model(Background(), frames[:, 14_000:14_010]))
