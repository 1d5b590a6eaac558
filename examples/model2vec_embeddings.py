"""Embeddings by model2vec, which needs no more than NumPy.

OMS_GATE_CONFIG=gate.yaml python model2vec_embeddings.py org/name
"""

import sys

from model2vec import StaticModel

from oms_gate import from_pretrained

model = from_pretrained(StaticModel, sys.argv[1])
print(model.encode(["Who signed this model?", "Who made this signature?"]).shape)
