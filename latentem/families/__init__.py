"""Distributions of components: each works in every latent structure."""

from latentem.families.bernoulli import Bernoulli, BernoulliParams
from latentem.families.categorical import Categorical, CategoricalParams
from latentem.families.exponential import Exponential, ExponentialParams
from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.families.gaussian_prior import GaussianPrior
from latentem.families.independent import Independent
from latentem.families.mixture_family import MixtureFamily, MixtureFamilyParams
from latentem.families.poisson import Poisson, PoissonParams

__all__ = [
    "Bernoulli",
    "BernoulliParams",
    "Categorical",
    "CategoricalParams",
    "Exponential",
    "ExponentialParams",
    "Gaussian",
    "GaussianParams",
    "GaussianPrior",
    "Independent",
    "MixtureFamily",
    "MixtureFamilyParams",
    "Poisson",
    "PoissonParams",
]
