"""Compiled loops: @njit functions on contiguous arrays, and nothing else."""
