"""Word alignment: places of pairs of words in a sparse table, and shares of one target word.

Target words are rows; the cells of row r, one for each source position, are ``starts[r]`` to
``starts[r + 1]``. ``cells`` holds the place of each pair of words in the translation table.
"""

import numpy as np
from numba import njit

__all__ = ["look_up", "scatter", "share"]


@njit(cache=True, nogil=True)
def look_up(
    indptr, columns, order, source, source_starts, sentence, target, rows, starts, null, slot, cells
):
    """Find each pair of words of each sentence in the table.

    Parameters
    ----------
    indptr, columns : (n + 1,) and (P,) int arrays
        The table in CSR form: target words that source word f has met, at row ``f + null``.
    order : (N,) int array
        Source tokens sorted by their word.
    source, sentence : (N,) int arrays
        Word of each source token, -1 where it is not known, and its sentence.
    source_starts, rows : (S + 1,) int arrays
        First source token and first target word of each sentence.
    target, starts : (R,) and (R + 1,) int arrays
        Target words, -1 where not known, and their first cells.
    null : int
        1 where the first cell of each row is the empty word's, which is left alone.
    slot : (number of target words,) int array; overwritten
        Scratch.
    cells : (number of cells,) int32 array; overwritten
        Place in the table; P for a pair that is not there, P + 1 where the source word is
        not known.
    """
    n_pairs = columns.size
    word, begin, end = -2, 0, 0
    for o in order:
        if source[o] != word:
            word = source[o]
            if word >= 0:
                begin, end = indptr[word + null], indptr[word + null + 1]
                for k in range(begin, end):
                    slot[columns[k]] = k
        s = sentence[o]
        i = o - source_starts[s] + null
        for r in range(rows[s], rows[s + 1]):
            place = n_pairs
            if word < 0:
                place = n_pairs + 1
            elif target[r] >= 0:
                k = slot[target[r]]
                if begin <= k < end and columns[k] == target[r]:
                    place = k
            cells[starts[r] + i] = place


@njit(cache=True, nogil=True)
def share(translation, cells, starts, prior, places, distances, posterior):
    """Posterior of the source position of each target word, positions independent.

    Parameters
    ----------
    translation : (P + 2,) array
    cells, starts : int arrays
    prior, distances : arrays
        Prior of each position, and a number of which the expectation is wanted; the row's
        own begin at ``places[r]``.
    posterior : array like `cells`; overwritten
        Zeros in a row that is impossible.

    Returns
    -------
    log-likelihood and expected sum of `distances`
    """
    loglik, distance = 0.0, 0.0
    for r in range(starts.size - 1):
        begin, place = starts[r], places[r]
        width = starts[r + 1] - begin
        total = 0.0
        for i in range(width):
            value = translation[cells[begin + i]] * prior[place + i]
            posterior[begin + i] = value
            total += value
        loglik += np.log(total)
        if total > 0.0:
            for i in range(width):
                posterior[begin + i] /= total
                distance += posterior[begin + i] * distances[place + i]
    return loglik, distance


@njit(cache=True, nogil=True)
def scatter(cells, values, sums):
    """Add each value to the sum at its place."""
    for k in range(cells.size):
        sums[cells[k]] += values[k]
