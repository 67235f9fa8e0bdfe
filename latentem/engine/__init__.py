"""The algorithm: expectation-maximisation for any model, and nothing about models."""
