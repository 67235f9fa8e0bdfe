"""Log densities of items from the votes of raters, and counts of votes.

Votes on item i are ``offsets[i]`` to ``offsets[i + 1]``, each a rater and a label::

    log f_k(item i) = sum over its votes of table[rater, label, k]
    counts[rater, label, k] = sum over votes of w[k, item]

Time and memory are proportional to the number of votes.
"""

import numpy as np
from numba import njit

__all__ = ["add_votes", "log_densities"]


@njit(cache=True, nogil=True)
def log_densities(offsets, raters, labels, table, out):
    """Sums of table entries over the votes of each item.

    Parameters
    ----------
    offsets : (m + 1,) int array
    raters, labels : (n,) int arrays
        Places in the table: they are not checked.
    table : (R, L, K) array
    out : (K, m) array; overwritten
    """
    n_classes, n_items = out.shape
    total = np.empty(n_classes)
    for i in range(n_items):
        total[:] = 0.0
        for v in range(offsets[i], offsets[i + 1]):
            entries = table[raters[v], labels[v]]
            for k in range(n_classes):
                total[k] += entries[k]
        for k in range(n_classes):
            out[k, i] = total[k]


@njit(cache=True, nogil=True)
def add_votes(offsets, raters, labels, weights, counts):
    """Add the weights of an item to the counts of each of its votes.

    Parameters
    ----------
    offsets, raters, labels
        As in `log_densities`.
    weights : (K, m) array
    counts : (R, L, K) array
    """
    n_classes, n_items = weights.shape
    own = np.empty(n_classes)
    for i in range(n_items):
        for k in range(n_classes):
            own[k] = weights[k, i]
        for v in range(offsets[i], offsets[i + 1]):
            entries = counts[raters[v], labels[v]]
            for k in range(n_classes):
                entries[k] += own[k]
