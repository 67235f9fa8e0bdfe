r"""Most probable paths, and paths drawn from their posterior.

The most probable path (Viterbi 1967, doi:10.1109/TIT.1967.1054010) ends in the largest of

.. math:: v_t(j) = l_{jt} + \max_i [ v_{t-1}(i) + \log P_{ij} ]

`search` leaves all v, and `trace` asks on its way back which i it was: K comparisons a
row, where pointers for every state would cost K squared. Up to four states, which are one
vector of the processor, pointers cost the search nothing, for it waits for its own last
row most of the time; then it leaves these in place of v. Both run in either direction (a
path has no direction), so that a long sequence can be searched from both ends. The row
step is written in LLVM's language, as in `latentem.kernels.chain`.
"""

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, njit, types
from numba.extending import intrinsic

__all__ = ["FOUR", "draw", "search", "trace"]

TILE = 64  # rows at a time
FOUR = 4  # states up to which there are pointers


if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _best(matrix, v, b, ahead):
        """``ahead[j] = b[j] + max_i (v[i] + matrix[i, j])``."""
        ahead[:] = b + (v[:, None] + matrix).max(axis=0)

    def _best_of_four(matrix, v, b, ahead, origin):
        """As `_best`, for four states; ``origin[j]`` is the first i that has the maximum."""
        sums = v[:, None] + matrix
        origin[:] = np.where(sums == sums, sums, -np.inf).argmax(axis=0)
        _best(matrix, v, b, ahead)

else:
    LANES = ir.VectorType(ir.DoubleType(), 4)
    INDEX = ir.IntType(64)

    def _index(value):
        return ir.Constant(INDEX, value)

    def _lanes(builder, pointer, index):
        """Where four numbers from `index` on stand."""
        return builder.bitcast(builder.gep(pointer, [index]), LANES.as_pointer())

    def _load(builder, pointer, index):
        return builder.load(_lanes(builder, pointer, index), align=8)

    def _everywhere(builder, number):
        """One number in all lanes."""
        undefined = ir.Constant(LANES, ir.Undefined)
        first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4)
        return builder.shuffle_vector(first, undefined, zeros)

    def _larger(builder, x, y):
        return builder.select(builder.fcmp_ordered(">", x, y), x, y)

    def _block(builder, arrays, n, begin, width):
        """The columns of `ahead` from `begin` on, `width` vectors at a time while they fit."""
        matrix, v, b, ahead = arrays
        entry = builder.block
        test, loop, last, done = (builder.append_basic_block() for _ in range(4))
        builder.branch(test)
        builder.position_at_end(test)
        column = builder.phi(INDEX)
        column.add_incoming(begin, entry)
        following = builder.add(column, _index(4 * width))
        builder.cbranch(builder.icmp_signed("<=", following, n), loop, done)
        builder.position_at_end(loop)
        i = builder.phi(INDEX)
        i.add_incoming(_index(0), test)
        # Two sets of largest values, of even and of odd rows: short chains of comparisons.
        least = ir.Constant(LANES, [float("-inf")] * 4)
        bests = [[builder.phi(LANES) for _ in range(width)] for _ in range(2)]
        for term, found in enumerate(bests):
            row = builder.add(i, _index(term))
            value = _everywhere(builder, builder.load(builder.gep(v, [row])))
            place = builder.add(builder.mul(row, n), column)
            for k, best in enumerate(found):
                moves = _load(builder, matrix, builder.add(place, _index(4 * k)))
                best.add_incoming(least, test)
                found[k] = _larger(builder, builder.fadd(value, moves), best)
                best.add_incoming(found[k], loop)
        next_i = builder.add(i, _index(2))
        i.add_incoming(next_i, loop)
        builder.cbranch(builder.icmp_signed("<", next_i, n), loop, last)
        builder.position_at_end(last)
        for k, (even, odd) in enumerate(zip(*bests, strict=True)):
            place = builder.add(column, _index(4 * k))
            value = builder.fadd(_larger(builder, even, odd), _load(builder, b, place))
            builder.store(value, _lanes(builder, ahead, place), align=8)
        column.add_incoming(following, last)
        builder.branch(test)
        builder.position_at_end(done)
        return column

    @intrinsic
    def _best(context, matrix, v, b, ahead):
        def code(context, builder, signature, arguments):
            made = [
                context.make_array(kind)(context, builder, array)
                for kind, array in zip(signature.args, arguments, strict=True)
            ]
            n = builder.extract_value(made[0].shape, 1)
            column = _index(0)
            for width in (4, 1):
                column = _block(builder, [array.data for array in made], n, column, width)
            return context.get_dummy_value()

        return types.void(matrix, v, b, ahead), code

    @intrinsic
    def _best_of_four(context, matrix, v, b, ahead, origin):
        def code(context, builder, signature, arguments):
            matrix, v, b, ahead, origin = (
                context.make_array(kind)(context, builder, array).data
                for kind, array in zip(signature.args, arguments, strict=True)
            )
            rounds = []  # values and origins of four candidates, then of the better of each pair
            for i in range(4):
                value = _everywhere(builder, builder.load(builder.gep(v, [_index(i)])))
                value = builder.fadd(value, _load(builder, matrix, _index(4 * i)))
                rounds.append((value, ir.Constant(ir.VectorType(INDEX, 4), [i] * 4)))
            while len(rounds) > 1:
                better = []
                for (x, i), (y, j) in zip(rounds[::2], rounds[1::2], strict=True):
                    later = builder.fcmp_ordered(">", y, x)  # of equal ones the first
                    better.append((builder.select(later, y, x), builder.select(later, j, i)))
                rounds = better
            (value, i), zero = rounds[0], _index(0)
            builder.store(
                builder.fadd(value, _load(builder, b, zero)), _lanes(builder, ahead, zero), align=8
            )
            bytes_ = ir.VectorType(ir.IntType(8), 4)
            builder.store(
                builder.trunc(i, bytes_), builder.bitcast(origin, bytes_.as_pointer()), align=1
            )
            return context.get_dummy_value()

        return types.void(matrix, v, b, ahead, origin), code


@njit(cache=True, nogil=True, error_model="numpy")
def _rows(log_density, begin, size, tile):
    """Log densities of `size` rows, row by row; how many are NaN or +inf."""
    bad = 0
    for k in range(log_density.shape[0]):
        row = log_density[k, begin : begin + size]
        for i in range(size):
            bad += 0 if row[i] < np.inf else 1
        for i in range(size):
            tile[i, k] = row[i]
    return bad


@njit(cache=True, nogil=True, error_model="numpy")
def _steps(matrix, last, tile, size, reverse, fresh, stored):
    """Find v of each of `size` rows, from the `last` one before, which becomes that of the end.

    `fresh` says that `last` is what the segment begins with.
    """
    step = -1 if reverse else 1
    r = size - 1 if reverse else 0
    if fresh:
        for j in range(last.size):
            stored[r, j] = last[j] + tile[r, j]
    else:
        _best(matrix, last, tile[r], stored[r])
    for _ in range(size - 1):
        r += step
        _best(matrix, stored[r - step], tile[r], stored[r])
    for j in range(last.size):
        last[j] = stored[r, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _steps_of_four(matrix, last, tile, size, reverse, fresh, stored, origins):
    """As `_steps`, with pointers."""
    step = -1 if reverse else 1
    r = size - 1 if reverse else 0
    if fresh:
        for j in range(last.size):
            stored[r, j] = last[j] + tile[r, j]
    else:
        _best_of_four(matrix, last, tile[r], stored[r], origins[r])
    for _ in range(size - 1):
        r += step
        _best_of_four(matrix, stored[r - step], tile[r], stored[r], origins[r])
    for j in range(last.size):
        last[j] = stored[r, j]


@njit(cache=True, nogil=True, error_model="numpy")
def search(log_density, offsets, vectors, reverse, matrix, stored, origins, scales):
    """Find v for every row of each segment.

    Parameters
    ----------
    log_density : (K, m) array, C order
        Read only.
    offsets : (S + 1,) int array
        Segment s is rows ``offsets[s]`` to ``offsets[s + 1]``, never empty.
    vectors : (S, P) array; overwritten
        Logarithms of what each segment begins with, to which the log densities of its
        first row are added. Left: v of the last row visited, the largest being 0. P is K
        padded to a multiple of 4; the padding is -inf.
    reverse : bool
        Visit the last row first.
    matrix : (P, P) array, C order
        Logarithms of the transition matrix, transposed for `reverse`, -inf in the padding.
    stored : (m, P) array, or (0, P) where `origins` are asked for; overwritten
        v of each row, on a scale of its own.
    origins : (m, 4) uint8 array, or (0, 4); overwritten
        For P = 4: the state from which each state of a row is best reached. Nothing is
        written for the first row visited.
    scales : (S,) array; overwritten
        What was taken out of `vectors`: the largest log joint density of a path. -inf
        where no path is possible, NaN where a log density is NaN or +inf.
    """
    n_padded = matrix.shape[0]
    tile, kept = np.full((TILE, n_padded), -np.inf), np.empty((TILE, n_padded))
    for s in range(offsets.size - 1):
        begin, end, last = offsets[s], offsets[s + 1], vectors[s]
        scale, done, bad = 0.0, 0, 0
        while done < end - begin:
            size = min(TILE, end - begin - done)
            low = end - done - size if reverse else begin + done
            bad += _rows(log_density, low, size, tile)
            if origins.size > 0:
                _steps_of_four(
                    matrix, last, tile, size, reverse, done == 0, kept, origins[low : low + size]
                )
            else:
                _steps(matrix, last, tile, size, reverse, done == 0, stored[low : low + size])
            top = -np.inf
            for j in range(n_padded):
                top = max(top, last[j])
            if top > -np.inf:
                scale += top
                for j in range(n_padded):
                    last[j] -= top
                if origins.size == 0:  # `trace` compares what was compared here
                    for j in range(n_padded):
                        stored[low if reverse else low + size - 1, j] = last[j]
            else:
                scale = -np.inf
            done += size
        scales[s] = scale if bad == 0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def trace(offsets, states, reverse, matrix, stored, origins, path):
    """Follow the best path of each segment back to where the search began.

    Parameters
    ----------
    offsets, reverse, stored, origins
        As in `search`, and as it left them.
    states : (S,) int array
        State of the last row visited by the search.
    matrix : (P, P) array, C order
        As in `search`, but *transposed*.
    path : (m,) int64 array; overwritten
    """
    for s in range(offsets.size - 1):
        begin, end, state = offsets[s], offsets[s + 1], states[s]
        for r in range(end - begin):
            t = begin + r if reverse else end - 1 - r
            if r > 0 and origins.size > 0:
                state = np.int64(origins[t + 1 if not reverse else t - 1, state])
            elif r > 0:
                v, row = stored[t], matrix[state]
                state, best = 0, v[0] + row[0]
                for i in range(1, row.size):
                    x = v[i] + row[i]
                    if x > best:
                        state, best = i, x
            path[t] = state


@njit(cache=True, nogil=True, error_model="numpy")
def draw(stored, offsets, matrix, uniforms, status, path):
    """Draw a path of each segment, last row first.

    Parameters
    ----------
    stored : (m, P) array
        Forward vectors, each on a scale of its own (`latentem.kernels.chain.store`).
    offsets : (S + 1,) int array
    matrix : (P, P) array, C order
        Transition matrix, *transposed*.
    uniforms : (m,) array
        Draws from [0, 1), one for each row.
    status : (S,) int array
        Segments with a status other than 0 are passed over.
    path : (m,) int64 array; overwritten
    """
    n_padded = matrix.shape[0]
    shares = np.empty(n_padded)
    for s in range(offsets.size - 1):
        if status[s] != 0:
            continue
        state = -1
        for t in range(offsets[s + 1] - 1, offsets[s] - 1, -1):
            total = 0.0
            for j in range(n_padded):
                total += stored[t, j] if state < 0 else stored[t, j] * matrix[state, j]
                shares[j] = total
            target, state = uniforms[t] * total, 0
            while shares[state] <= target and shares[state] < total:
                state += 1
            path[t] = state
