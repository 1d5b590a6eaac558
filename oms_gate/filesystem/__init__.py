"""``oms::``, a file system for fsspec in which there are only files of admitted models.

``fsspec.open("oms::hf://org/name/model.safetensors")``: chained in front of any store.
"""

from oms_gate.filesystem.filesystem import OmsFileSystem

__all__ = ["OmsFileSystem"]
