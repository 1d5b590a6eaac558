"""Kubernetes' objects without a cluster: the models that pods use, and what is made of them."""
