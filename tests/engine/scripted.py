"""A model of one number whose objective and map are given as functions: every turn is chosen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from latentem import Diagnosis, Expectation, LatentModel, Real

DATA = np.zeros(4)


class Params(NamedTuple):
    x: float


class Scripted(LatentModel):
    """Objective ``loglik(x)`` and map ``x -> step(x)``, over data that say nothing.

    By default the objective is -x^2 and a map halves x.
    """

    def __init__(self, loglik=None, step=None, start=1.0, prior=None, declared=True, says=None):
        self.loglik = loglik or (lambda x: -(x**2))
        self.step = step or (lambda x: 0.5 * x)
        self.begin = start
        self.prior = prior
        self.declared = declared
        self.says = says
        self.maps = 0
        self.e_steps = 0

    def blocks(self, data, size=None):
        return [data]

    def initialize(self, blocks, rng):
        return Params(self.begin(rng) if callable(self.begin) else self.begin)

    def e_step(self, params, block):
        self.e_steps += 1
        return Expectation((params.x,), float(self.loglik(params.x)), float(len(block)))

    def m_step(self, statistics, params):
        assert statistics == (params.x,), "statistics belong to the parameters"
        self.maps += 1
        return Params(float(self.step(params.x)))

    def constraints(self):
        return Params(Real()) if self.declared else None

    def log_prior(self, params):
        return 0.0 if self.prior is None else float(self.prior(params.x))

    def diagnose(self, params, statistics):
        return Diagnosis() if self.says is None else self.says(params.x)


def singular(x):
    raise np.linalg.LinAlgError("a covariance is not positive definite")
