"""Linear operators of reconstructions: what measurements see of an image."""

from latentem.operators.convolution import Convolution
from latentem.operators.operator import Matrix, Operator, as_operator
from latentem.operators.parallel_beam import ParallelBeam

__all__ = ["Convolution", "Matrix", "Operator", "ParallelBeam", "as_operator"]
