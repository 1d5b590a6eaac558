"""Measurements, each as a ratio to the raw limit and to what a user does today, in one run."""
