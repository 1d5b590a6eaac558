"""Signing models where they lie: keys, tokens and services that make a signature."""
