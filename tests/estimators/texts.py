"""Simulated documents for naive Bayes."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def text(rng, n, width, n_classes=3, length=40, like=1.0):
    """Sparse documents of classes whose words differ: the larger `like`, the less."""
    common = rng.dirichlet(np.full(width, 0.3)) * like
    probs = np.array([common + rng.dirichlet(np.full(width, 0.3)) for _ in range(n_classes)])
    ends = np.cumsum(probs / probs.sum(axis=1, keepdims=True), axis=1)
    y = rng.integers(n_classes, size=n)
    lengths = rng.poisson(length, n) + 1
    rows = np.repeat(np.arange(n), lengths)
    words = np.empty(len(rows), dtype=int)
    for k in range(n_classes):
        here = y[rows] == k
        words[here] = np.searchsorted(ends[k][:-1], rng.random(here.sum()), side="right")
    X = sparse.coo_array((np.ones(len(rows)), (rows, words)), shape=(n, width)).tocsr()
    return X, y


def hidden(y, n_known):
    """The labels of all but the first documents taken away."""
    return np.where(np.arange(len(y)) < n_known, y, -1)
