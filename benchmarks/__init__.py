"""Measurements, each as a ratio to the raw limit and to what a user does today, in one run.

Every measurement is a trial (`benchmarks.trial`): one of the `candidates` takes one model from one
of the `servers`, in a process of its own. A section of the report (`sections`) puts the trials of
several candidates next to each other, in turns.
"""
