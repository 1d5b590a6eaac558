"""Delivering a model: what is hashed is written in the same pass, and published at once."""
