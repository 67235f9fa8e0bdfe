"""Distributions of components: each works in every latent structure."""

from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.families.poisson import Poisson, PoissonParams

__all__ = ["Gaussian", "GaussianParams", "Poisson", "PoissonParams"]
