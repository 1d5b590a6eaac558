"""The example and the guide, as their readers run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from cryptography.hazmat.primitives.asymmetric import ec
from safetensors.numpy import save

from tests.filesystem.conftest import PROJECT, signed
from tests.peers.seaweedfs import SeaweedFS

TENSORS = {
    name: np.random.default_rng(number).random((50, 500), dtype=np.float32)
    for number, name in enumerate("abcdefgh")
}


def run(
    arguments: list[str], environment: dict[str, str], s3: SeaweedFS
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment | s3.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def put(
    s3: SeaweedFS, bucket: str, files: dict[str, bytes], key: ec.EllipticCurvePrivateKey, size: int
) -> None:
    for path, content in signed(key, files, size).items():
        s3.put(bucket, f"acme/m/{path}", content)


def test_one_tensor_over_s3(
    configured: None,
    installed: dict[str, str],
    key: ec.EllipticCurvePrivateKey,
    s3: SeaweedFS,
    s3_bucket: str,
) -> None:
    weights = save(TENSORS)
    put(s3, s3_bucket, {"model.safetensors": weights}, key, 50_000)
    example = str(PROJECT / "examples" / "safetensors_over_s3.py")
    location = f"{s3_bucket}/acme/m/model.safetensors"
    s3.clear()
    done = run([example, location, "c"], installed, s3)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"c (50, 500) {TENSORS['c'].mean()!s}\n"
    # The header is in the first shard, and the tensor in two or three more.
    sent = [r.sent for r in s3.requests if r.method == "GET" and "safetensors" in r.path]
    assert sum(sent) == 50_000 * len(sent) <= 200_000 < len(weights) / 4
    s3.put(s3_bucket, "acme/m/model.safetensors", weights[:-1] + b"\1")
    assert run([example, location, "a"], installed, s3).returncode == 0
    done = run([example, location, "h"], installed, s3)
    assert "AdmissionDenied" in done.stderr
    assert "changed after signing" in done.stderr


def test_the_guide_shows_what_runs(
    configured: None,
    installed: dict[str, str],
    key: ec.EllipticCurvePrivateKey,
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1, 2, 3], "y": [4, 5, 6]}), sink)
    zarr.create_array(str(tmp_path / "data" / "array"), data=np.arange(10), chunks=(5,))
    files = {
        file.relative_to(tmp_path / "data").as_posix(): file.read_bytes()
        for file in (tmp_path / "data").rglob("*")
        if file.is_file()
    }
    files |= {"model.safetensors": save(TENSORS), "x.parquet": sink.getvalue().to_pybytes()}
    put(s3, s3_bucket, files, key, 50_000)
    guide = (PROJECT / "docs" / "filesystem.md").read_text()
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", guide, re.S) if "zarr" in block
    )
    code = code.replace("models/data", f"{s3_bucket}/acme/m")
    done = run(["-c", code], installed, s3)
    assert done.returncode == 0, done.stderr
