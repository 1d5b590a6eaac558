"""Embeddings by sentence-transformers.

OMS_GATE_CONFIG=gate.yaml python sentence_embeddings.py sentence-transformers/all-MiniLM-L6-v2
"""

import sys

from sentence_transformers import SentenceTransformer

from oms_gate import from_pretrained

model = from_pretrained(SentenceTransformer, sys.argv[1])
print(model.encode(["Who signed this model?", "Who made this signature?"]).shape)
