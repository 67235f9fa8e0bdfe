"""Latent structures: each takes any family."""

from latentem.models.mixture import Mixture, MixtureParams

__all__ = ["Mixture", "MixtureParams"]
