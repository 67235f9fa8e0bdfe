"""Distributions of components: each works in every latent structure."""

from latentem.families.bernoulli import Bernoulli, BernoulliParams
from latentem.families.categorical import Categorical, CategoricalParams
from latentem.families.exponential import Exponential, ExponentialParams
from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.families.gaussian_prior import GaussianPrior
from latentem.families.independent import Independent
from latentem.families.mixture_family import MixtureFamily, MixtureFamilyParams
from latentem.families.multinomial import Multinomial, MultinomialParams
from latentem.families.poisson import Poisson, PoissonParams
from latentem.families.priors import BetaPrior, DirichletPrior, GammaPrior, InverseGammaPrior
from latentem.families.tied import Tied

__all__ = [
    "Bernoulli",
    "BernoulliParams",
    "BetaPrior",
    "Categorical",
    "CategoricalParams",
    "DirichletPrior",
    "Exponential",
    "ExponentialParams",
    "GammaPrior",
    "Gaussian",
    "GaussianParams",
    "GaussianPrior",
    "Independent",
    "InverseGammaPrior",
    "MixtureFamily",
    "MixtureFamilyParams",
    "Multinomial",
    "MultinomialParams",
    "Poisson",
    "PoissonParams",
    "Tied",
]
