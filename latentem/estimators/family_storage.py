"""How a family is written into a file's header, and made again from there.

A family of latentem is written as its name and settings; `Independent` as its parts,
each a family with its columns. What is kept, and a prior, are lists of numbers. A user's
family is written as a name, and has to be given again when the file is read, because
nothing in a file is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.family import Family
from latentem.engine.flat import FlatSpace
from latentem.engine.trees import leaves
from latentem.estimators.gaussian_mixture import GaussianMixture
from latentem.families.bernoulli import Bernoulli, BernoulliParams
from latentem.families.categorical import Categorical, CategoricalParams
from latentem.families.exponential import Exponential, ExponentialParams
from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.families.gaussian_prior import GaussianPrior
from latentem.families.held import HeldFamily
from latentem.families.independent import Independent
from latentem.families.multinomial import Multinomial, MultinomialParams
from latentem.families.poisson import Poisson, PoissonParams
from latentem.families.priors import BetaPrior, DirichletPrior, GammaPrior, InverseGammaPrior
from latentem.families.tied import Tied

__all__ = ["check_family", "family_in", "family_out", "pattern"]

Array = np.ndarray


class OwnFamily(NamedTuple):
    """How a family of latentem is written down."""

    family: type[Family]
    params: Any  # the NamedTuple class of its parameters
    settings: tuple[str, ...]


FAMILIES = {
    "Bernoulli": OwnFamily(Bernoulli, BernoulliParams, ("fixed",)),
    "Categorical": OwnFamily(Categorical, CategoricalParams, ("n_categories", "fixed")),
    "Exponential": OwnFamily(Exponential, ExponentialParams, ("fixed",)),
    "Gaussian": OwnFamily(Gaussian, GaussianParams, ("covariance_type", "reg_covar", "fixed")),
    "Multinomial": OwnFamily(Multinomial, MultinomialParams, ("fixed",)),
    "Poisson": OwnFamily(Poisson, PoissonParams, ("fixed",)),
}


#: What the values of a parameter must be, in words.
SETS = {
    "emissionprob": "probabilities that sum to 1 in each column of the data",
    "lambdas": ">= 0",
    "probs": "between 0 and 1",
    "scales": "> 0",
}


#: Classes of priors, by the names that files give them.
PRIORS = {
    kind.__name__: kind
    for kind in (BetaPrior, DirichletPrior, GammaPrior, GaussianPrior, InverseGammaPrior)
}


def _setting_out(family: Family, name: str) -> Any:
    """A setting of a family as JSON."""
    if name == "fixed" and isinstance(family, HeldFamily):
        if all(kept is True for kept in family.kept.values()):
            return list(family.kept)
        return {
            group: True if kept is True else np.asarray(kept).tolist()
            for group, kept in family.kept.items()
        }
    return getattr(family, name)


def prior_out(prior: Any) -> dict[str, Any]:
    """A prior as JSON: its name, and its numbers, bit for bit."""
    values = {
        field.name: np.asarray(getattr(prior, field.name)).tolist() for field in fields(prior)
    }
    return {"name": type(prior).__name__, "values": values}


def prior_in(written: Any) -> Any:
    """The prior that `prior_out` wrote; its own checks refuse numbers that cannot be."""
    kind: Any = PRIORS.get(str(written.get("name"))) if isinstance(written, Mapping) else None
    if kind is None or not isinstance(written.get("values"), Mapping):
        raise ValueError("its prior is not described as latentem does")
    values = {
        name: np.array(value, dtype=float) if isinstance(value, list) else value
        for name, value in written["values"].items()
    }
    return kind(**values)


def _own(family: Family) -> OwnFamily | None:
    prior = getattr(family, "prior", None)
    if prior is not None and type(prior) not in PRIORS.values():
        return None  # a function, or a user's own: whoever loads gives the family
    found = FAMILIES.get(type(family).__name__)
    return found if found is not None and type(family) is found.family else None


def pattern(family: Family) -> Any:
    """Parameters with nothing in them, for the tuple classes; None where they are not known."""
    if type(family) is Independent:
        return tuple(pattern(part.family) for part in family.parts)
    if type(family) is Tied:
        return pattern(family.family)
    own = _own(family)
    if own is not None:
        return own.params(*[None] * len(own.params._fields))
    return family.constraints()


def family_out(family: Family) -> dict[str, Any]:
    """The family as JSON."""
    name = type(family).__name__
    if type(family) is Independent:
        written = [family_out(part.family) for part in family.parts]
        parts = [
            {"family": kind, "columns": list(part.columns)}
            for kind, part in zip(written, family.parts, strict=True)
        ]
        own = all(kind["own"] for kind in written)
        return {"name": name, "own": own, "settings": {}, "parts": parts}
    if type(family) is Tied:
        inner = family_out(family.family)
        tied = {"family": inner, "groups": family.groups.tolist()}
        return {"name": name, "own": inner["own"], "settings": {}, **tied}
    known = _own(family)
    settings = {} if known is None else {s: _setting_out(family, s) for s in known.settings}
    found = {"name": name, "own": known is not None, "settings": settings}
    if known is not None and getattr(family, "prior", None) is not None:
        found["prior"] = prior_out(family.prior)  # type: ignore[attr-defined]
    return found


def family_in(header: Any, given: Family | None, what: str = "a mixture") -> Family:
    """The family that `family_out` wrote, or `given`, which must be of its kind."""
    if not isinstance(header, Mapping):
        raise ValueError("its family is not described as latentem does")
    name = header.get("name")
    if given is not None and not isinstance(given, Family):
        raise TypeError(f"family must be a Family, got {type(given).__name__}")
    if header.get("own") is not True:
        if given is None:
            raise ValueError(
                f"it is {what} of {name!r}, a family that is not latentem's own: give an "
                "instance of it, load(path, family=...)"
            )
        if type(given).__name__ != name:
            raise ValueError(f"it is {what} of {name!r}, and family= is a {type(given).__name__}")
        return given
    own = FAMILIES.get(name) if isinstance(name, str) else None
    composed: dict[Any, Any] = {"Independent": Independent, "Tied": Tied}
    kind = composed.get(name) if own is None else own.family
    if kind is None:
        raise ValueError(f"it is {what} of {name!r}, which this latentem does not know")
    if given is not None:
        if type(given) is not kind:
            raise ValueError(f"it is {what} of {name}, and family= is {given!r}")
        return given
    if kind is Tied:
        return Tied(family_in(header.get("family"), None), header.get("groups"))
    if own is None:
        return Independent([_part_in(part) for part in header.get("parts", ())])
    settings = header.get("settings")
    if not isinstance(settings, dict) or set(settings) - set(own.settings):
        raise ValueError(f"its family {name} has settings that this latentem does not know")
    if isinstance(settings.get("fixed"), list):
        settings = {**settings, "fixed": tuple(settings["fixed"])}
    if "prior" in header:
        settings = {**settings, "prior": prior_in(header["prior"])}
    return own.family(**settings)


def _part_in(part: Any) -> tuple[Family, Any]:
    if not isinstance(part, Mapping):
        raise ValueError("its family is not described as latentem does")
    return family_in(part.get("family"), None), part.get("columns")


def check_family(family: Family, params: Any, width: int | None, k: int) -> None:
    """Refuse parameters that the family could not have with k components in `width` columns."""
    if type(family) is Independent:
        if len(params) != len(family.parts) or width not in (None, family.n_columns):
            raise ValueError(f"its parameters are not those of {family!r}")
        for part, own in zip(family.parts, params, strict=True):
            check_family(part.family, own, len(part.columns), k)
        return
    if type(family) is Tied:
        family.check_components(k)
        constraints = family.constraints()
        if constraints is not None and not FlatSpace(constraints, params).holds(params):
            raise ValueError(f"its parameters are not equal within the groups of {family!r}")
        check_family(family.family, params, width, k)
        return
    wrong = f"its parameters have shape {_shape(params)}, and there are {k} components"
    if type(family) is Gaussian:
        if len(_shape(params)) != 2 or len(params.means) != k:
            raise ValueError(wrong)
        if width not in (None, params.means.shape[1]):
            raise ValueError(f"its means have shape {_shape(params)}, for {width} columns")
        GaussianMixture.from_parameters(
            weights=np.full(k, 1 / k),
            means=params.means,
            covariances=params.covariances,
            covariance_type=family.covariance_type,
        )
    elif _own(family) is not None:
        if any(np.ndim(leaf) != 2 or len(leaf) != k for _, leaf in leaves(params)):
            raise ValueError(wrong)
        _check_own(family, params, width)
    else:
        try:
            prepared = family.prepare(params)
        except Exception as error:  # a user's own code, which may raise anything
            raise ValueError(f"{family!r} does not take its parameters: {error}") from error
        if _components(family, prepared, width) not in (None, k):
            raise ValueError(wrong)


def _shape(params: Any) -> tuple[int, ...]:
    return np.shape(params[0]) if len(params) else ()


def _check_own(family: Family, params: Any, width: int | None) -> None:
    """Refuse values outside their sets, and parameters for another number of columns."""
    own = _own(family)
    assert own is not None
    settings = {s: getattr(family, s) for s in own.settings if s != "fixed"}  # all must hold
    for name, leaf in leaves(params):
        sound = FlatSpace(own.family(**settings).constraints(), params).holds(params)
        if not sound or (type(family) is Exponential and np.any(leaf <= 0)):
            raise ValueError(f"its {name} must be {SETS[name]}")
    if width is not None:  # a row of zeros is possible in all of them
        with np.errstate(all="ignore"):
            family.log_density(family.prepare(params), family.encode(np.zeros((1, width))))


def _components(family: Family, prepared: Any, width: int | None) -> int | None:
    """For how many components a user's parameters are; None where a trial row does not tell."""
    if width is None:
        return None
    try:
        with np.errstate(all="ignore"):
            density = family.log_density(prepared, family.encode(np.ones((1, width))))
    except Exception:  # the row may be one that the family cannot have produced
        return None
    return len(density) if np.ndim(density) == 2 else None
