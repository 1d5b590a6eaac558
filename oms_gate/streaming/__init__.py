"""Measuring a model where it lies: ranges of remote files through hashers, in bounded memory."""
