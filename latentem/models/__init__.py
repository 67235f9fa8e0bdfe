"""Latent structures: each takes any family; and the normal distribution with missing cells."""

from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams
from latentem.models.mixture import Mixture, MixtureParams
from latentem.models.normal import MultivariateNormal, NormalParams
from latentem.models.normal_prior import NormalPrior

__all__ = [
    "HiddenMarkov",
    "HiddenMarkovParams",
    "Mixture",
    "MixtureParams",
    "MultivariateNormal",
    "NormalParams",
    "NormalPrior",
]
