"""Where models live: the Hugging Face Hub, S3, a folder, the web, any fsspec file system.

A store answers one question: what exactly is there? Its answer is a `Snapshot`, a listing pinned
to immutable revisions, whose files can be read in ranges, and into which a file can be written.
"""

from oms_gate.stores.snapshot import RangeReader, Snapshot, StoredFile, Written
from oms_gate.stores.store import Store, StoreSettings, open_store, within

__all__ = [
    "RangeReader",
    "Snapshot",
    "Store",
    "StoreSettings",
    "StoredFile",
    "Written",
    "open_store",
    "within",
]
