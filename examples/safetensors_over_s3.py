"""One tensor of a model on S3, and of its weights no more than that takes.

OMS_GATE_CONFIG=gate.yaml python safetensors_over_s3.py bucket/model/model.safetensors NAME

Weights that were signed in shards (oms-gate sign --shards 16MiB) are verified shard by shard, those
that hold the tensor; others as a whole, once, and then from the verified cache.
"""

import json
import sys

import fsspec
import numpy as np

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}

location, name = sys.argv[1:]
with fsspec.open(f"oms::s3://{location}") as weights:
    length = int.from_bytes(weights.read(8), "little")
    entry = json.loads(weights.read(length))[name]
    start, end = entry["data_offsets"]
    weights.seek(8 + length + start)
    content = weights.read(end - start)
tensor = np.frombuffer(content, TYPES[entry["dtype"]]).reshape(entry["shape"])
print(name, tensor.shape, tensor.mean())
