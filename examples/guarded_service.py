"""A guard over everything that a program loads, in its own words: any library, any thread.

OMS_GATE_CONFIG=gate.yaml python guarded_service.py org/name
"""

import sys

from huggingface_hub import hf_hub_download
from transformers import AutoTokenizer

from oms_gate import guard

name = sys.argv[1]
with guard():
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except OSError as denied:  # AdmissionDenied is one, and some libraries make another of it
        sys.exit(f"not loaded: {denied}")
    print(len(tokenizer), hf_hub_download(name, "config.json"))
