"""Emission tomography: y_i ~ Poisson(sum_j A_ij x_j + b_i), rays as rows of (A, y, b).

With a quadratic prior ``-beta/2 |x - centre|^2`` the M-step has a closed form per
pixel (De Pierro 1995, doi:10.1109/42.370409).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, xlogy

from latentem import Expectation, LatentModel, Positive


class Params(NamedTuple):
    x: np.ndarray


class Statistics(NamedTuple):
    counts: np.ndarray
    sensitivity: np.ndarray


class PoissonLinear(LatentModel):
    def __init__(self, beta=0.0, centre=0.0):
        self.beta, self.centre = beta, centre

    def initialize(self, blocks, rng):
        return Params(np.ones(blocks[0][0].shape[1]))

    def constraints(self):
        return Params(Positive())

    def e_step(self, params, block):
        a, y, b = block
        mean = a @ params.x + b
        loglik = np.sum(y * np.log(mean) - mean - gammaln(y + 1))
        counts = params.x * ((y / mean) @ a)
        return Expectation(Statistics(counts, a.sum(axis=0)), float(loglik), float(len(y)))

    def m_step(self, statistics, params):
        counts, sensitivity = statistics
        if self.beta == 0:
            return Params(counts / sensitivity)
        slope = sensitivity - self.beta * self.centre
        root = np.sqrt(slope**2 + 4 * self.beta * counts)
        return Params((root - slope) / (2 * self.beta))

    def log_prior(self, params):
        return float(-0.5 * self.beta * np.sum((params.x - self.centre) ** 2))

    def expected_loglik(self, params, statistics):
        counts, sensitivity = statistics
        return float(np.sum(xlogy(counts, params.x) - sensitivity * params.x))
