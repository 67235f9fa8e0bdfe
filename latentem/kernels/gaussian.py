"""Feature blocks whose products with a matrix are Gaussian log densities.

For centred rows ``y = x - c`` a Gaussian log density is linear in the features
``1, y_1 .. y_d`` and the products ``y_a y_b``: one matrix product gives all
components at once, and the transposed product their second moments.
"""

from numba import njit

__all__ = ["centred", "products"]


@njit(cache=True, nogil=True)
def centred(x, centre, out):
    """Write ``(x - centre).T`` into rows 1..d of `out`, and ones into row 0.

    Parameters
    ----------
    x : (m, d) array, C order
    centre : (d,) array
    out : (p, m) array with p > d, C order
    """
    n_rows, n_columns = x.shape
    for i in range(n_rows):
        out[0, i] = 1.0
    stop = n_rows - n_rows % 8
    for i in range(0, stop, 8):
        for j in range(n_columns):
            for ii in range(i, i + 8):  # eight rows at a time: whole cache lines both ways
                out[1 + j, ii] = x[ii, j] - centre[j]
    for i in range(stop, n_rows):
        for j in range(n_columns):
            out[1 + j, i] = x[i, j] - centre[j]


@njit(cache=True, nogil=True)
def products(out, n_columns, full):
    """Append products of the rows 1..d of `out` to it.

    With `full` all pairs a <= b in row-major order, d (d + 1) / 2 rows, else
    squares only, d rows.
    """
    n_rows = out.shape[1]
    p = 1 + n_columns
    for a in range(n_columns):
        left = out[1 + a]
        for b in range(a, n_columns if full else a + 1):
            right = out[1 + b]
            target = out[p]
            for i in range(n_rows):
                target[i] = left[i] * right[i]
            p += 1
