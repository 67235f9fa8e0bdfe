"""One multivariate normal, cells missing (NaN): conditional moments given what is seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from latentem import Expectation, LatentModel, Moments, PositiveDefinite, Real


class Params(NamedTuple):
    mean: np.ndarray  # (d,)
    covariance: np.ndarray  # (d, d)


class MissingCells(LatentModel):
    def initialize(self, blocks, rng):
        x = np.concatenate(blocks)
        return Params(np.nanmean(x, axis=0), np.diag(np.nanvar(x, axis=0)))

    def constraints(self):
        return Params(Real(), PositiveDefinite())

    def e_step(self, params, block):
        mean, covariance = params
        d, loglik = len(mean), 0.0
        filled, spread = np.empty_like(block), np.zeros((d, d))
        for i, row in enumerate(block):
            seen, lost = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
            inner = covariance[np.ix_(seen, seen)]
            gain = np.linalg.solve(inner, covariance[np.ix_(seen, lost)]).T
            y = row[seen] - mean[seen]
            loglik -= 0.5 * (len(seen) * np.log(2 * np.pi) + np.linalg.slogdet(inner)[1])
            loglik -= 0.5 * y @ np.linalg.solve(inner, y)
            filled[i, seen], filled[i, lost] = row[seen], mean[lost] + gain @ y
            spread[np.ix_(lost, lost)] += (
                covariance[np.ix_(lost, lost)] - gain @ covariance[np.ix_(seen, lost)]
            )
        centre = filled.mean(axis=0)
        scatter = (filled - centre).T @ (filled - centre) + spread
        weight = np.array([float(len(block))])
        moments = Moments(weight, centre[None], 0.5 * (scatter + scatter.T)[None], "full")
        return Expectation(moments, float(loglik), float(len(block)))

    def m_step(self, moments, params):
        return Params(moments.mean[0], moments.scatter[0] / moments.weight[0])

    def expected_loglik(self, params, moments):
        about = moments.about(params.mean[None])[0]
        d = len(params.mean)
        constant = d * np.log(2 * np.pi) + np.linalg.slogdet(params.covariance)[1]
        trace = np.trace(np.linalg.solve(params.covariance, about))
        return float(-0.5 * (moments.weight[0] * constant + trace))

    def sample(self, params, n, rng):
        x = rng.multivariate_normal(params.mean, params.covariance, size=n)
        lost = rng.random(x.shape) < 0.2
        lost[:, 0] = False
        x[lost] = np.nan
        return x
