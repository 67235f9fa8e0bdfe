r"""Scaled forward and backward passes over chains, with every row's vector checked.

Both passes of a hidden Markov chain are one recurrence. With densities
:math:`b_t = \exp(l_t - \max_k l_{kt})` and transition matrix P::

    forward    a_t = b_t * (a_{t-1} P)        from a_0     = b_0 * startprob
    backward   w_t = b_t * (P w_{t+1})        from w_{T-1} = b_{T-1}

`store` runs it in one direction and leaves its vectors. `meet` runs it in the other
direction against stored vectors: with q the prediction before b is multiplied in, s the
stored vector of the row and v the vector of the row before::

    posterior of the row      q * s / (q . s)
    expected transitions      v s' / (q . s), elementwise times P

So a forward pass over the first half of a long series and a backward pass over the
second may run side by side, and then each goes on through what the other has stored.

How it stays in range. Densities are at most 1 and rows of P sum to 1, so vectors only
shrink. One whose sum falls below ``SMALL`` is multiplied by 2**100. One that falls below
``LOST`` in one step (the states that explain the row best are not reachable) is computed
again with logarithms. A segment that cannot be continued, because of NaN or a row that no
state explains or because both directions have nothing in common, gets status ``FAILED``
and belongs to `latentem.kernels.log_chain`.

What underflows is at most ``2**-722`` of a vector's sum. That is nothing if every
transition is possible. If not, later rows may turn the odds by more, and neither
direction need notice: what the first rows rule out and the last rows rule out may be what
the rows between them call for. So the backward pass gets ``FAINT``, more than can have
been lost, added to every entry of every vector whose density is not 0 (one that is has the
sign of -0). Its likelihood is an upper bound then, as the forward one is a lower bound, and
where they agree, nothing that matters was lost.

Vectors and matrices are padded with zeros to a multiple of four states; products are
written as SIMD code in LLVM's language, because loops over so few states are not
recognised by its vectoriser. Their plain versions stand beside them.
"""

import math

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["AGREE", "AGREE_RELATIVE", "FAILED", "FAINT", "meet", "store"]

FAILED = 1
SMALL = 2.0**-100
LOST = 2.0**-300
MEET = 2.0**-640
FAINT = 2.0**-800
UP = 2.0**100
LOG_UP = 100 * math.log(2)
AGREE, AGREE_RELATIVE = 1e-7, 1e-12  # nats, and share of the log-likelihood


ROWS = 32  # rows whose transitions are added together

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _advance(matrix, v, b, faint, ahead):
        """``ahead = (v @ matrix) * b``, plus `faint` where b is not -0; its sum."""
        ahead[:] = (v @ matrix) * b + np.where(np.signbit(b), 0.0, faint)
        return ahead.sum()

    def _advance_meeting(matrix, v, b, faint, s, ahead, product):
        """As `_advance`, and ``product = (v @ matrix) * s``; both sums."""
        product[:] = (v @ matrix) * s
        return _advance(matrix, v, b, faint, ahead), product.sum()

    def _add_outer(left, right, out, n_rows):
        """Add ``left[:n_rows].T @ right[:n_rows]`` to `out`."""
        out += left[:n_rows].T @ right[:n_rows]

else:
    LANES = ir.VectorType(ir.DoubleType(), 4)
    INDEX = ir.IntType(64)
    CONTRACT = ("contract",)

    def _index(value):
        return ir.Constant(INDEX, value)

    def _pointers(context, builder, kinds, arrays):
        return [
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(kinds, arrays, strict=True)
        ]

    def _lanes(builder, pointer, index):
        """Where four numbers from `index` on stand."""
        return builder.bitcast(builder.gep(pointer, [index]), LANES.as_pointer())

    def _load(builder, pointer, index):
        return builder.load(_lanes(builder, pointer, index), align=8)

    def _store(builder, value, pointer, index):
        builder.store(value, _lanes(builder, pointer, index), align=8)

    def _everywhere(builder, number):
        """One number in all lanes."""
        undefined = ir.Constant(LANES, ir.Undefined)
        first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4)
        return builder.shuffle_vector(first, undefined, zeros)

    def _times_plus(builder, a, b, c):
        return builder.fadd(builder.fmul(a, b, flags=CONTRACT), c, flags=CONTRACT)

    def _sum(builder, lanes):
        numbers = [builder.extract_element(lanes, ir.Constant(ir.IntType(32), i)) for i in range(4)]
        return builder.fadd(
            builder.fadd(numbers[0], numbers[1]), builder.fadd(numbers[2], numbers[3])
        )

    def _columns(builder, n, width, least, work):
        """Call ``work(column)`` for columns in steps of `width` while they fit into `n`.

        `n` is ``(first column, end)``; the first column left over is returned. Nothing is
        done where the end is below `least`.
        """
        begin, end = n
        entry = builder.block
        test, body, done = (builder.append_basic_block() for _ in range(3))
        builder.branch(test)
        builder.position_at_end(test)
        column = builder.phi(INDEX)
        column.add_incoming(begin, entry)
        fits = builder.icmp_signed("<=", builder.add(column, _index(width)), end)
        enough = builder.icmp_signed(">=", end, _index(least))
        builder.cbranch(builder.and_(fits, enough), body, done)
        builder.position_at_end(body)
        work(column)
        column.add_incoming(builder.add(column, _index(width)), builder.block)
        builder.branch(test)
        builder.position_at_end(done)
        return column

    def _accumulate(builder, count, step, starts, work):
        """Sums over ``i = 0, step, ... < count``: ``work(i, sums)`` gives the new sums."""
        entry, loop, done = builder.block, builder.append_basic_block(), None
        builder.branch(loop)
        builder.position_at_end(loop)
        i = builder.phi(INDEX)
        i.add_incoming(_index(0), entry)
        sums = [builder.phi(LANES) for _ in starts]
        new = work(i, sums)
        following = builder.add(i, _index(step))
        i.add_incoming(following, loop)
        for phi, start, value in zip(sums, starts, new, strict=True):
            phi.add_incoming(start, entry)
            phi.add_incoming(value, loop)
        done = builder.append_basic_block()
        builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
        builder.position_at_end(done)
        return new

    def _product(context, builder, kinds, arrays, meeting):
        """The code of `_advance` and `_advance_meeting`."""
        n = builder.extract_value(
            context.make_array(kinds[0])(context, builder, arrays[0]).shape, 1
        )
        matrix, v, b = _pointers(context, builder, kinds[:3], arrays[:3])
        faint = _everywhere(builder, arrays[3])
        others = _pointers(context, builder, kinds[4:], arrays[4:])
        zero = ir.Constant(LANES, [0.0] * 4)
        totals = [cgutils.alloca_once_value(builder, zero) for _ in range(1 + meeting)]

        def block(width, terms):
            """Columns in `width` vectors; `terms` rows at a time, to shorten chains of sums."""

            def work(column):
                def rows(i, sums):
                    new = []
                    for term in range(terms):
                        row = builder.add(i, _index(term))
                        a = _everywhere(builder, builder.load(builder.gep(v, [row])))
                        place = builder.add(builder.mul(row, n), column)
                        for k in range(width):
                            m = _load(builder, matrix, builder.add(place, _index(4 * k)))
                            new.append(_times_plus(builder, a, m, sums[term * width + k]))
                    return new

                parts = _accumulate(builder, n, terms, [zero] * (width * terms), rows)
                for k in range(width):
                    sums = parts[k::width]
                    while len(sums) > 1:
                        sums = [
                            builder.fadd(x, y) for x, y in zip(sums[::2], sums[1::2], strict=True)
                        ]
                    q, place = sums[0], builder.add(column, _index(4 * k))
                    density = _load(builder, b, place)
                    bits = builder.bitcast(density, ir.VectorType(INDEX, 4))
                    signed = builder.icmp_signed("<", bits, ir.Constant(bits.type, [0] * 4))
                    more = builder.select(signed, zero, faint)
                    results = [_times_plus(builder, q, density, more)]
                    if meeting:
                        results.append(builder.fmul(q, _load(builder, others[0], place)))
                    outs = others[1:] if meeting else others
                    for value, out, total in zip(results, outs, totals, strict=True):
                        _store(builder, value, out, place)
                        builder.store(builder.fadd(builder.load(total), value), total)

            return work

        column = _index(0)
        for width, terms, least in ((8, 1, 48), (4, 2, 0), (2, 4, 0), (1, 4, 0)):
            column = _columns(builder, (column, n), 4 * width, least, block(width, terms))
        return [_sum(builder, builder.load(total)) for total in totals]

    @intrinsic
    def _advance(context, matrix, v, b, faint, ahead):
        def code(context, builder, signature, arguments):
            return _product(context, builder, signature.args, arguments, False)[0]

        return types.float64(matrix, v, b, types.float64, ahead), code

    @intrinsic
    def _advance_meeting(context, matrix, v, b, faint, s, ahead, product):
        def code(context, builder, signature, arguments):
            sums = _product(context, builder, signature.args, arguments, True)
            return context.make_tuple(builder, signature.return_type, sums)

        pair = types.UniTuple(types.float64, 2)
        return pair(matrix, v, b, types.float64, s, ahead, product), code

    @intrinsic
    def _add_outer(context, left, right, out, n_rows):
        def code(context, builder, signature, arguments):
            kinds, count = signature.args[:3], arguments[3]
            shape = context.make_array(kinds[2])(context, builder, arguments[2]).shape
            n = builder.extract_value(shape, 1)
            x, y, sums = _pointers(context, builder, kinds, arguments[:3])

            def block(i, width):
                def work(column):
                    places = [
                        builder.add(
                            builder.mul(builder.add(i, _index(h)), n),
                            builder.add(column, _index(4 * k)),
                        )
                        for h in range(4)
                        for k in range(width)
                    ]

                    def rows(t, parts):
                        row = builder.mul(t, n)
                        right_lanes = [
                            _load(builder, y, builder.add(row, builder.add(column, _index(4 * k))))
                            for k in range(width)
                        ]
                        new = []
                        for h in range(4):
                            place = builder.add(row, builder.add(i, _index(h)))
                            a = _everywhere(builder, builder.load(builder.gep(x, [place])))
                            new += [
                                _times_plus(builder, a, lanes, parts[h * width + k])
                                for k, lanes in enumerate(right_lanes)
                            ]
                        return new

                    starts = [_load(builder, sums, place) for place in places]
                    ends = _accumulate(builder, count, 1, starts, rows)
                    for place, value in zip(places, ends, strict=True):
                        _store(builder, value, sums, place)

                return work

            with cgutils.for_range_slice(builder, _index(0), n, _index(4)) as (i, _):
                column = _columns(builder, (_index(0), n), 8, 0, block(i, 2))
                _columns(builder, (column, n), 4, 0, block(i, 1))
            return context.get_dummy_value()

        return types.void(left, right, out, types.int64), code


@njit(cache=True, nogil=True, error_model="numpy")
def _lift(log_density, t, peak, previous, given, matrix, faint, ahead, total):
    """Bring the vector of row `t` back into range; ``(its sum, log of what it was divided by)``.

    The sum is -1 where that cannot be done. `given` says that `previous` is the
    prediction itself.
    """
    offset = 0.0
    if total >= LOST:
        factor = 1.0
        while total < SMALL:
            total *= UP
            factor *= UP
            offset -= LOG_UP
        for j in range(ahead.size):
            ahead[j] *= factor
        return total, offset
    n_states, top = log_density.shape[0], -np.inf
    for j in range(n_states):
        q = previous[j]
        if not given:
            q = 0.0
            for i in range(n_states):
                q += previous[i] * matrix[i, j]
        z = -np.inf if q == 0.0 else math.log(q) + log_density[j, t]
        ahead[j] = z
        top = z if not z <= top else top
    if not abs(top) < np.inf:
        return -1.0, 0.0
    total = 0.0
    for j in range(n_states):
        ahead[j] = math.exp(ahead[j] - top)
        ahead[j] += faint if log_density[j, t] > -np.inf else 0.0
        total += ahead[j]
    return total, top - peak


@njit(cache=True, nogil=True, error_model="numpy")
def store(
    log_density, offsets, vectors, reverse, matrix, faint, floor, likelihood, peaks, stored, scales,
    status,
):  # fmt: skip
    """Run each segment in one direction and leave the vector of every row.

    Parameters
    ----------
    log_density : (K, m) array, C order, or (0, 0)
        Read only, and only for rows that fall below ``LOST``: where it is not given, they
        fail.
    offsets : (S + 1,) int array
        Segment s is rows ``offsets[s]`` to ``offsets[s + 1]``, never empty.
    vectors : (S, P) array; overwritten
        Prediction for the first row of each segment. Left: the vector of the last row
        visited, of sum 1. P is K padded to a multiple of 4; the padding is zero.
    reverse : bool
        Visit the last row first.
    matrix : (P, P) array, C order
        Transition matrix, transposed for `reverse`, zero in the padding.
    faint : float
        Added to every entry of every vector whose density is not 0: FAINT for a backward
        pass whose likelihood is to be an upper bound, else 0.
    floor : float
        Segments in which an entry of a vector falls below this get status FAILED: for
        forward passes that no backward pass checks.
    likelihood, peaks : (m, P) and (m,) arrays
        Densities and their peaks, from `latentem.kernels.rows.densities`.
    stored : (m, P) array; overwritten
        The vectors, each on its own scale.
    scales : (S,) array; overwritten
        Logarithm of what the vectors left in `vectors` were divided by: forward, the
        log-likelihood of the segment given what was before.
    status : (S,) int array; overwritten where a segment fails
        Segments with a status other than 0 are passed over.
    """
    n_padded, step = matrix.shape[0], -1 if reverse else 1
    for s in range(offsets.size - 1):
        if status[s] != 0:
            continue
        begin, end = offsets[s], offsets[s + 1]
        scale, total, t = 0.0, 1.0, end if reverse else begin - 1
        for r in range(end - begin):
            t += step
            if r == 0:
                total = 0.0
                for j in range(n_padded):
                    more = 0.0 if math.copysign(1.0, likelihood[t, j]) < 0.0 else faint
                    stored[t, j] = vectors[s, j] * likelihood[t, j] + more
                    total += stored[t, j]
            else:
                total = _advance(matrix, stored[t - step], likelihood[t], faint, stored[t])
            if not total >= SMALL:
                for j in range(n_padded if r > 0 else 0):
                    vectors[s, j] = stored[t - step, j]
                total, offset = _lift(
                    log_density, t, peaks[t], vectors[s], r == 0, matrix, faint, stored[t], total
                )
                scale += offset
            if floor > 0.0:
                for j in range(log_density.shape[0]):
                    if stored[t, j] < floor:
                        total = -1.0
            if total < 0.0:
                break
            scale += peaks[t]
        if not total > 0.0:
            status[s] = FAILED
            continue
        for j in range(n_padded):
            vectors[s, j] = stored[t, j] / total
        scales[s] = scale + math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def meet(
    log_density, offsets, vectors, linked, reverse, matrix, faint, weights, likelihood, peaks,
    stored, scales, status, start, pairs,
):  # fmt: skip
    """Run each segment against the vectors that `store` left in the other direction.

    Parameters
    ----------
    log_density, offsets, vectors, reverse, matrix, faint, likelihood, peaks, scales, status
        As in `store`. `scales` holds what `store` found for whole sequences where `start`
        is given.
    linked : bool
        `vectors` are those of the rows before, and transitions from them are counted.
    weights : (S,) array
    stored : (m, P) array; overwritten
        Vectors of the other direction; left: posteriors times the weight, zeros where
        a segment failed.
    start : (P,) array, or (0,)
        Start distribution: a backward pass over a whole sequence fails if its
        likelihood does not agree with that of the forward pass.
    pairs : (P, P) array
        Expected transitions, from rows of `matrix` to its columns, times the weight are
        added. Nothing is added for a segment that fails.
    """
    n_padded = matrix.shape[0]
    # Row r + 1 of `visited` is the vector of row r: the next step reads it where it is, and the
    # transitions of all rows together take them from where they begin.
    visited, products = np.empty((ROWS + 1, n_padded)), np.empty((ROWS, n_padded))
    partners, norms = np.empty((ROWS, n_padded)), np.empty(ROWS)
    own = np.empty((n_padded, n_padded))
    for s in range(offsets.size - 1):
        begin, end, size = offsets[s], offsets[s + 1], 0
        weight = weights[s]
        for i in range(n_padded):
            visited[0, i] = vectors[s, i] if linked else 0.0  # a prediction is no row's vector
            for j in range(n_padded):
                own[i, j] = 0.0
        given = not linked
        scale, total, done = 0.0, 1.0 if status[s] == 0 else -1.0, 0
        while done < end - begin and total > 0.0:
            size = min(ROWS, end - begin - done)
            part = 0.0
            for r in range(size):
                t = end - done - 1 - r if reverse else begin + done + r
                if given:
                    total, norm = 0.0, 0.0
                    for j in range(n_padded):
                        more = 0.0 if math.copysign(1.0, likelihood[t, j]) < 0.0 else faint
                        visited[1, j] = vectors[s, j] * likelihood[t, j] + more
                        products[0, j] = vectors[s, j] * stored[t, j]
                        total += visited[1, j]
                        norm += products[0, j]
                else:
                    total, norm = _advance_meeting(
                        matrix, visited[r], likelihood[t], faint, stored[t], visited[r + 1],
                        products[r],
                    )  # fmt: skip
                norms[r] = norm
                if not norm >= MEET:
                    total = -1.0
                    break
                if not total >= SMALL:
                    previous = vectors[s] if given else visited[r]
                    total, offset = _lift(
                        log_density, t, peaks[t], previous, given, matrix, faint, visited[r + 1],
                        total,
                    )  # fmt: skip
                    scale += offset
                    if total < 0.0:
                        break
                part += peaks[t]
                given = False
            if not total > 0.0:
                break
            scale += part
            for r in range(size):
                t = end - done - 1 - r if reverse else begin + done + r
                factor = weight / norms[r]
                for j in range(n_padded):
                    partners[r, j] = stored[t, j] * factor
                    stored[t, j] = products[r, j] * factor
            _add_outer(visited, partners, own, size)
            for j in range(n_padded):
                visited[0, j] = visited[size, j]
            done += size
        if total > 0.0 and start.size > 0:
            bound = 0.0
            for j in range(n_padded):
                bound += start[j] * visited[0, j]
            bound = scale + math.log(bound)
            slack = AGREE + AGREE_RELATIVE * (abs(bound) + abs(scales[s]))
            if not abs(bound - scales[s]) <= slack:
                total = -1.0
        if not total > 0.0:
            status[s] = FAILED
            for t in range(begin, end):
                for j in range(n_padded):
                    stored[t, j] = 0.0
            continue
        for i in range(n_padded):
            for j in range(n_padded):
                pairs[i, j] += own[i, j] * matrix[i, j]
            vectors[s, i] = visited[0, i] / total
        scales[s] = scale + math.log(total)
