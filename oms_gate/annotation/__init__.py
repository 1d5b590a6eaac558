"""Verdicts on models in S3, written to where the models are: tags of objects, and a quarantine."""
