"""Two gigabytes through the gate: memory stays small, and nothing is written to disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import models
from tests.peers.content import Content, Repeated, bytes_of
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

GB = 10**9
PEAK_BYTES = 200 * 1024 * 1024

WEIGHTS: dict[str, Content] = {
    f"model-{number}.safetensors": Repeated(bytes([number]) * 65536, GB // 2) for number in range(4)
}
FILES: dict[str, Content] = {**models.FILES, **WEIGHTS}


# The command line in a process that is killed should it write one byte to any file, and that
# tells its own peak: what the system accounts to a child holds its parent's memory too.
PROGRAM = """
import atexit, re, resource, sys
from pathlib import Path
from typing import Any
from oms_gate.cli import main

def report():
    peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
    print(int(peak[1]) * 1024, file=sys.stderr)

atexit.register(report)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
main()
"""


def verify(reference: str, public_key: Path, **environment: str) -> tuple[dict[str, Any], int]:
    """The verdict, and the peak memory of the process in bytes."""
    options = ["verify", reference, "--public-key", str(public_key), "--json"]
    result = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, *options],
        capture_output=True,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout), int(result.stderr)


@pytest.fixture
def public_key(tmp_path: Path) -> Path:
    return tmp_path / "key.pub"


@pytest.fixture
def bundle(public_key: Path) -> bytes:
    key = models.new_key()
    public_key.write_bytes(models.public_pem(key))
    return models.signature(FILES, key)


def test_the_hub(hub: HubStandIn, public_key: Path, bundle: bytes) -> None:
    hub.create("org/large", files={**FILES, "model.sig": bundle})
    verdict, peak = verify("hf://org/large", public_key)
    assert verdict["outcome"] == "admitted", verdict["reasons"]
    assert verdict["assurance"] == "bytes"
    assert verdict["coverage"]["measured_bytes"] > 2 * GB
    assert peak < PEAK_BYTES


def test_s3(s3: SeaweedFS, s3_bucket: str, public_key: Path, bundle: bytes) -> None:
    part = 50_000_000
    for path, content in FILES.items():
        if isinstance(content, Repeated):
            # One byte over and over, so that all parts are alike.
            parts = [bytes_of(Repeated(content.pattern, part))] * (content.size // part)
            s3.put_multipart(s3_bucket, f"m/{path}", parts, checksum=False)
        else:
            s3.put(s3_bucket, f"m/{path}", content)
    s3.put(s3_bucket, "m/model.sig", bundle)
    verdict, peak = verify(f"s3://{s3_bucket}/m", public_key, **s3.environment())
    assert verdict["outcome"] == "admitted", verdict["reasons"]
    assert verdict["coverage"]["measured_bytes"] > 2 * GB
    assert peak < PEAK_BYTES
