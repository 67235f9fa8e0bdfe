"""Gaussian log densities and moments as matrix products over blocks of features.

For centred rows ``y = x - c`` (whitened, ``y = W (x - c)``, where the covariance is
shared) a Gaussian log density is linear in the features

- full: ``1, y, y_a y_b`` for a <= b, row by row,
- diag: ``1, y, y_a^2``,
- spherical, tied: ``1, y, |y|^2``,

so one matrix product gives all components at once, and the transposed product
their moments. Rows are taken in tiles whose features stay in cache; one call
covers a whole block, so that threads meet at the interpreter's lock only a few
times per block.
"""

import numpy as np
from numba import njit

__all__ = [
    "DIAG",
    "FULL",
    "NORM",
    "TIED",
    "expand",
    "log_densities",
    "moment_sums",
    "moments_of_sums",
]

FULL, DIAG, NORM, TIED = 0, 1, 2, 3
#: Floats of the features of a tile (2 MB).
TILE = 2**18


@njit(cache=True, nogil=True)
def _multiply(left, right, out):
    np.dot(left, right, out)


@njit(cache=True, nogil=True)
def _add_product(left, right, out):
    """Add ``left @ right.T`` to `out`."""
    part = np.empty(out.shape)
    np.dot(left, right.T, part)  # given where to, it compiles in a third of the time
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            out[i, j] += part[i, j]


@njit(cache=True, nogil=True)
def _features(x, centre, whitener, kind, out):
    """Features of the rows of `x` (m, d), one in each row of `out` (p, m)."""
    n_rows, d = x.shape
    for i in range(n_rows):
        out[0, i] = 1.0
    whole = n_rows - n_rows % 8
    for i in range(0, whole, 8):
        for j in range(d):
            for ii in range(i, i + 8):  # eight rows at a time: whole cache lines both ways
                out[1 + j, ii] = x[ii, j] - centre[j]
    for i in range(whole, n_rows):
        for j in range(d):
            out[1 + j, i] = x[i, j] - centre[j]
    if kind == TIED:  # in place from the last row up: the whitener is lower triangular
        for a in range(d - 1, -1, -1):
            target = out[1 + a]
            for i in range(n_rows):
                target[i] *= whitener[a, a]
            for b in range(a):
                weight, right = whitener[a, b], out[1 + b]
                for i in range(n_rows):
                    target[i] += weight * right[i]
    p = 1 + d
    if kind == FULL or kind == DIAG:  # noqa: SIM109 - compiled
        for a in range(d):
            left = out[1 + a]
            for b in range(a, d if kind == FULL else a + 1):
                right = out[1 + b]
                target = out[p]
                for i in range(n_rows):
                    target[i] = left[i] * right[i]
                p += 1
        return
    target = out[p]
    for i in range(n_rows):
        target[i] = 0.0
    for a in range(d):
        left = out[1 + a]
        for i in range(n_rows):
            target[i] += left[i] * left[i]


@njit(cache=True, nogil=True, error_model="numpy")
def expand(means, centre, precisions, kind, coefficients, reach):
    """Coefficients of the features, but the first, for components with these parameters.

    Parameters
    ----------
    means : (K, d) array
    centre : (d,) array
    precisions : 3-D array, C order
        (K, d, d) for FULL, (K, 1, d) for DIAG, (K, 1, 1) for NORM. For TIED the whitener,
        (1, d, d): its features are whitened rows.
    kind : int
        FULL, DIAG, NORM or TIED.
    coefficients : (K, p) array; overwritten, but for the first column
    reach : (K,) array; overwritten
        Squared distance of the mean from the centre, in standard deviations.

    Returns
    -------
    float
        The least coefficient of a square or product.
    """
    n_components, d = means.shape
    least = 0.0
    for k in range(n_components):
        reach[k] = 0.0
        place = 1 + d
        for a in range(d):
            total, offset = 0.0, means[k, a] - centre[a]
            if kind == FULL or kind == TIED:  # noqa: SIM109 - compiled
                for b in range(d if kind == FULL else a + 1):
                    precision = precisions[k if kind == FULL else 0, a, b]
                    total += precision * (means[k, b] - centre[b])
                    if kind == FULL and b >= a:
                        coefficients[k, place] = -0.5 * precision if a == b else -precision
                        least = min(least, coefficients[k, place])
                        place += 1
            else:
                precision = precisions[k, 0, a if kind == DIAG else 0]
                total = precision * offset
                coefficients[k, place] = -0.5 * precision
                least = min(least, coefficients[k, place])
                place += 1 if kind == DIAG else 0
            coefficients[k, 1 + a] = total
            reach[k] += total * (total if kind == TIED else offset)
        if kind == TIED:
            coefficients[k, place] = least = -0.5
    return least


@njit(cache=True, nogil=True)
def log_densities(x, centre, whitener, coefficients, kind, features, out):
    """Log densities as ``coefficients @ features``.

    Parameters
    ----------
    x : (m, d) array, C order
    centre : (d,) array
    whitener : (d, d) array
        Lower triangular; read for TIED only.
    coefficients : (K, p) array
    kind : int
        FULL, DIAG, NORM or TIED.
    features : (p, m) array, or (0, 0)
        Where the features are left for `moment_sums`; (0, 0) works in tiles and
        leaves nothing.
    out : (K, m) array, C order
    """
    n_rows = x.shape[0]
    p = coefficients.shape[1]
    if features.size > 0:
        _features(x, centre, whitener, kind, features)
        _multiply(coefficients, features, out)
        return
    count = max(1, -(-n_rows * p // TILE))
    size = -(-n_rows // count)
    for begin in range(0, n_rows, size):
        end = min(n_rows, begin + size)
        tile = np.empty((p, end - begin))
        _features(x[begin:end], centre, whitener, kind, tile)
        part = np.empty((coefficients.shape[0], end - begin))
        _multiply(coefficients, tile, part)
        for k in range(part.shape[0]):
            for i in range(part.shape[1]):
                out[k, begin + i] = part[k, i]


@njit(cache=True, nogil=True)
def moment_sums(x, centre, whitener, weights, kind, features, sums, cross):
    """Add ``weights @ features.T`` to `sums`; for TIED the weighted products to `cross`.

    Parameters
    ----------
    x, centre, whitener, kind
        As in `log_densities`.
    weights : (K, m) array, C order
    features : (p, m) array, or (0, 0)
        The features where `log_densities` left them.
    sums : (K, p) array
    cross : (d, d) array
        Sum over rows and components of weight times y y', for TIED only.
    """
    n_rows = x.shape[0]
    kept = features.size > 0
    count = 1 if kept else max(1, -(-n_rows * sums.shape[1] // TILE))
    size = max(1, -(-n_rows // count))
    for begin in range(0, n_rows, size):
        end = min(n_rows, begin + size)
        tile, share = features, weights
        if not kept:
            tile = np.empty((sums.shape[1], end - begin))
            _features(x[begin:end], centre, whitener, kind, tile)
            share = np.empty((weights.shape[0], end - begin))
            for k in range(share.shape[0]):
                for i in range(share.shape[1]):
                    share[k, i] = weights[k, begin + i]
        _add(tile, share, kind, sums, cross)


@njit(cache=True, nogil=True)
def _add(features, weights, kind, sums, cross):
    _add_product(weights, features, sums)
    if kind != TIED:
        return
    d = cross.shape[0]
    n_rows = weights.shape[1]
    weighted, rows = np.empty((d, n_rows)), features[1 : 1 + d]
    for i in range(n_rows):
        total = 0.0
        for k in range(weights.shape[0]):
            total += weights[k, i]
        for a in range(d):
            weighted[a, i] = total * rows[a, i]
    _add_product(weighted, rows, cross)


@njit(cache=True, nogil=True, error_model="numpy")
def moments_of_sums(sums, cross, kind, limit, offset, scatter):
    """Means and scatters about these, from sums of features about a centre.

    Parameters
    ----------
    sums, cross
        As from `moment_sums`.
    kind : int
        FULL, DIAG, NORM or TIED.
    limit : float
        How often the scatter that is left goes into what is subtracted at most, if the
        difference keeps digits enough.
    offset : (K, d) array; overwritten
        Means less the centre.
    scatter : 3-D array; overwritten
        (K, d, d) for FULL, (1, d, d) for TIED, (K, 1, d) for DIAG, (K, 1, 1) for NORM.

    Returns
    -------
    bool
        Whether all scatters keep digits enough.
    """
    n_components, d = offset.shape
    exact = True
    for k in range(n_components):
        weight = sums[k, 0]
        for a in range(d):
            offset[k, a] = sums[k, 1 + a] / (weight if weight > 0.0 else 1.0)
    for k in range(scatter.shape[0]):
        place, size = 1 + d, 0.0
        for a in range(d):
            if kind == NORM:
                size += offset[k, a] * offset[k, a]
                if a < d - 1:
                    continue
            for b in range(a, d if kind == FULL or kind == TIED else a + 1):  # noqa: SIM109
                if kind == TIED:
                    moved, about_centre = 0.0, 0.5 * (cross[a, b] + cross[b, a])
                    for i in range(n_components):
                        moved += sums[i, 0] * (offset[i, a] * offset[i, b])
                elif kind == NORM:
                    moved, about_centre = sums[k, 0] * size / d, sums[k, place] / d
                else:
                    moved, about_centre = sums[k, 0] * (offset[k, a] * offset[k, b]), sums[k, place]
                left = about_centre - moved
                place += 1
                if kind == FULL or kind == TIED:  # noqa: SIM109
                    scatter[k, a, b] = scatter[k, b, a] = left
                else:
                    scatter[k, 0, a if kind == DIAG else 0] = left
                if a == b and not moved <= limit * left:
                    exact = False
    return exact
