"""Standard errors by name, with their covariance, intervals and a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, ndtri

from latentem.engine.boundary import label
from latentem.engine.text_tables import html_table

__all__ = ["Interval", "StandardErrors"]

Array = np.ndarray


class Interval(NamedTuple):
    """Limits of a confidence interval, each in the shape of the parameter."""

    lower: Array
    upper: Array


class StandardErrors(Mapping[str, Array]):
    """Standard errors by name of parameter, each in the shape of the parameter.

    Attributes
    ----------
    estimates : dict of arrays
        The parameters themselves.
    covariance : (p, p) array
        Covariance of all parameters, raveled one after the other in the order of
        the names; `labels` names its rows. In the row of a parameter that the data do not
        settle, the variance is inf and the rest NaN.
    method : str
        How they were found.
    notes : tuple of str
        What was held or left open, and why, in sentences.
    replicates : dict of arrays, or None
        Of a bootstrap, the estimates of each replicate along the first axis.
    """

    def __init__(
        self,
        estimates: dict[str, Array],
        covariance: Array,
        method: str,
        *,
        limits: tuple[Array, Array] | None = None,
        remarks: Sequence[str] = (),
        notes: tuple[str, ...] = (),
        replicates: Array | None = None,
    ):
        self.estimates = estimates
        self.covariance = covariance
        self.method = method
        self.notes = notes
        self.replicates = None if replicates is None else self._shaped(replicates)
        size = len(covariance)
        self._limits = limits or (np.full(size, -np.inf), np.full(size, np.inf))
        self._remarks = list(remarks) or [""] * size
        with np.errstate(invalid="ignore"):
            self._flat = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
        self._errors = self._shaped(self._flat)

    def _shaped(self, flat: Array) -> dict[str, Array]:
        """Numbers (..., p) of all parameters by name, each in its shape."""
        stops = np.cumsum([value.size for value in self.estimates.values()])
        parts = np.split(flat, stops[:-1], axis=-1)
        return {
            name: part.reshape(flat.shape[:-1] + value.shape)
            for (name, value), part in zip(self.estimates.items(), parts, strict=True)
        }

    def __getitem__(self, name: str) -> Array:
        return self._errors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._errors)

    def __len__(self) -> int:
        return len(self._errors)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the rows of `covariance`, such as ``means[1, 0]``."""
        return tuple(
            label(name, place)
            for name, value in self.estimates.items()
            for place in np.ndindex(value.shape)
        )

    def confidence_interval(self, level: float = 0.95) -> dict[str, Interval]:
        """Limits of every parameter, which never leave the set of the parameter.

        Normal intervals on the scale on which the parameter has no limits, mapped back: the
        logarithm of what is positive (rates, variances), the logit of what lies between two
        limits (probabilities), and the parameter itself otherwise (means, covariances of
        two columns). Of a bootstrap, on the same scale: the replicates lie about the estimate as
        that does about the truth, so their quantiles are reflected in it (basic intervals;
        Davison and Hinkley 1997, section 5.2, doi:10.1017/CBO9780511802843).
        A parameter that is held has itself for both limits; one that is not settled has the
        limits of its set.

        Parameters
        ----------
        level : float
            Probability between the limits, with equal tails.

        Returns
        -------
        dict of Interval
            By name, arrays ``lower`` and ``upper`` in the shape of the parameter.

        Examples
        --------
        >>> import numpy as np
        >>> from latentem import GaussianMixture, standard_errors
        >>> X = np.random.default_rng(0).normal(3.0, 2.0, size=(100, 1))
        >>> errors = standard_errors(GaussianMixture(1).fit(X), X)
        >>> lower, upper = errors.confidence_interval(0.9)["means"]
        >>> lower.round(2).tolist(), upper.round(2).tolist()
        ([[2.85]], [[3.48]])
        """
        if not (isinstance(level, float | np.floating) and 0 < level < 1):
            raise ValueError(f"level must lie between 0 and 1, such as 0.95, got {level!r}")
        value = np.concatenate([np.ravel(part) for part in self.estimates.values()])
        if self.replicates is None:
            reach = float(ndtri(0.5 + 0.5 * level))
            lower, upper = _limits(value, self._flat, *self._limits, reach)
        else:
            parts = [self.replicates[name] for name in self.estimates]
            drawn = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
            lower, upper = _reflected(value, drawn, *self._limits, level)
        lowers, uppers = self._shaped(lower), self._shaped(upper)
        return {name: Interval(lowers[name], uppers[name]) for name in self.estimates}

    def _rows(self, level: float) -> list[tuple[str, float, float, float, float, str]]:
        limits = self.confidence_interval(level)
        rows: list[tuple[str, float, float, float, float, str]] = []
        for name, value in self.estimates.items():
            for place in np.ndindex(value.shape):
                rows.append(
                    (
                        label(name, place),
                        float(value[place]),
                        float(self._errors[name][place]),
                        float(limits[name].lower[place]),
                        float(limits[name].upper[place]),
                        self._remarks[len(rows)],
                    )
                )
        return rows

    def summary(self, level: float = 0.95) -> str:
        """A table of every parameter with its standard error and interval, and the notes."""
        rows = self._rows(level)
        names = max([len("parameter"), *(len(row[0]) for row in rows)])
        head = f"{'parameter':<{names}} {'estimate':>12} {'std. error':>12} "
        lines = [head + f"{f'{100 * level:g} % from':>12} {'to':>12}"]
        for name, *numbers, remark in rows:
            cells = " ".join(f"{number:>12.6g}" for number in numbers)
            lines.append(f"{name:<{names}} {cells}  {remark}".rstrip())
        lines += [textwrap.fill(note, 98, subsequent_indent="  ") for note in self.notes]
        return "\n".join(lines)

    def to_frame(self, level: float = 0.95) -> Any:
        """The table as a pandas DataFrame (needs pandas)."""
        import pandas

        columns = ["parameter", "estimate", "std_error", "lower", "upper", "remark"]
        return pandas.DataFrame(self._rows(level), columns=columns).set_index("parameter")

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header = ["parameter", "estimate", "std. error", "95 % from", "to", ""]
        rows = [
            [name, *(f"{number:.6g}" for number in numbers), remark]
            for name, *numbers, remark in self._rows(0.95)
        ]
        return html_table(header, rows) + "".join(f"<p>{escape(note)}</p>" for note in self.notes)


def _reflected(
    value: Array, replicates: Array, low: Array, high: Array, level: float
) -> tuple[Array, Array]:
    """Quantiles of replicates (B, m), reflected in the value on the scale without limits."""
    with np.errstate(all="ignore"):
        centre, drawn = _without_limits(value, low, high), _without_limits(replicates, low, high)
        least = np.quantile(drawn, 0.5 - 0.5 * level, axis=0, method="lower")
        most = np.quantile(drawn, 0.5 + 0.5 * level, axis=0, method="higher")
        lower = _within_limits(2 * centre - most, low, high)
        upper = _within_limits(2 * centre - least, low, high)
    lost = ~np.isfinite(centre) | np.isnan(lower) | np.isnan(upper)  # at the edge of its set
    if lost.any():
        plain = np.quantile(replicates[:, lost], [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=0)
        lower[lost], upper[lost] = plain
    return lower, upper


def _without_limits(x: Array, low: Array, high: Array) -> Array:
    """The logarithm of what has a lower limit, the logit of what has two, the rest as it is."""
    one, two = np.isfinite(low) & ~np.isfinite(high), np.isfinite(low) & np.isfinite(high)
    return np.where(two, np.log(x - low) - np.log(high - x), np.where(one, np.log(x - low), x))


def _within_limits(x: Array, low: Array, high: Array) -> Array:
    """The inverse of `_without_limits`."""
    one, two = np.isfinite(low) & ~np.isfinite(high), np.isfinite(low) & np.isfinite(high)
    between = low + (high - low) * expit(x)
    return np.where(two, between, np.where(one, low + np.exp(x), x))


def _limits(value: Array, error: Array, low: Array, high: Array, reach: float) -> tuple[Any, Any]:
    """Normal limits on the scale without limits, mapped back."""
    below, above = value - low, high - value
    with np.errstate(all="ignore"):
        wide = reach * error
        lower, upper = value - wide, value + wide
        one = np.isfinite(low) & ~np.isfinite(high)
        log = wide / below
        lower = np.where(one, low + below * np.exp(-log), lower)
        upper = np.where(one, low + below * np.exp(log), upper)
        both = np.isfinite(low) & np.isfinite(high)
        logit = wide * (1 / below + 1 / above)
        odds = below / above
        lower = np.where(both, low + (high - low) * _share(odds * np.exp(-logit)), lower)
        upper = np.where(both, low + (high - low) * _share(odds * np.exp(logit)), upper)
    held, unknown = error == 0, np.isinf(error)
    lower = np.where(held, value, np.where(unknown, low, lower))
    upper = np.where(held, value, np.where(unknown, high, upper))
    return lower, upper


def _share(odds: Array) -> Array:
    return np.where(np.isinf(odds), 1.0, odds / (1 + odds))
