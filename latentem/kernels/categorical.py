"""Log densities and counts of coded cells: one look-up per cell and component.

A cell of column j and code c is stored as its place ``offset_j + c`` in a table with
the categories of all columns side by side, so that the kernels know no columns::

    log f_k(x_i) = sum_j table[k, cells[i, j]]
    counts[k, c] = sum_i sum_j w[k, i] [cells[i, j] = c]
"""

import numpy as np
from numba import njit

__all__ = ["add_counts", "look_up"]

#: Running counts kept apart: an addition need not wait for the one before it.
LANES = 4


@njit(cache=True, nogil=True)
def look_up(cells, table, out):
    """Sums of table entries.

    Parameters
    ----------
    cells : (d, m) array of unsigned integers, C order
        Places in the table, below its width: they are not checked.
    table : (K, C) array
    out : (K, m) array; overwritten
    """
    n_columns, n_rows = cells.shape
    for k in range(table.shape[0]):
        entries, row = table[k], out[k]
        first = cells[0]
        for i in range(n_rows):
            row[i] = entries[first[i]]
        for j in range(1, n_columns):
            places = cells[j]
            for i in range(n_rows):
                row[i] += entries[places[i]]


@njit(cache=True, nogil=True)
def add_counts(cells, weights, counts):
    """Add the weight of each cell to the count of its place.

    Parameters
    ----------
    cells : (d, m) array of unsigned integers, C order
        Places, below the width of `counts`: they are not checked.
    weights : (K, m) array, C order
    counts : (K, C) array
    """
    n_columns, n_rows = cells.shape
    whole = n_rows - n_rows % LANES
    lanes = np.zeros((LANES, counts.shape[1]))
    for k in range(weights.shape[0]):
        row = weights[k]
        lanes[:] = 0.0
        for j in range(n_columns):
            places = cells[j]
            for i in range(0, whole, LANES):
                for lane in range(LANES):
                    lanes[lane, places[i + lane]] += row[i + lane]
            for i in range(whole, n_rows):
                lanes[0, places[i]] += row[i]
        for lane in range(LANES):
            for c in range(counts.shape[1]):
                counts[k, c] += lanes[lane, c]
