"""A configuration and a tokenizer by transformers, of a model that must be admitted.

    OMS_GATE_CONFIG=gate.yaml python transformers_model.py org/name

The model may be on S3, too: s3://bucket/models/name.
"""

import sys

from transformers import AutoConfig, AutoTokenizer

from oms_gate import from_pretrained

name = sys.argv[1]
config = from_pretrained(AutoConfig, name)
tokenizer = from_pretrained(AutoTokenizer, name)
print(config.model_type, tokenizer("Who signed this model?")["input_ids"])
