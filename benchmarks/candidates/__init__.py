"""Who takes models: the raw limit, the gate, and what users have today.

A candidate is a function that is given its options and returns the work, see
`benchmarks.trial.Candidate`.
"""
