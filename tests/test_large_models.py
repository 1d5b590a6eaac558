"""Models larger than the memory they may take, signed and checked; nothing is written to disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from oms_gate.signing.keys import generate_key, write_key_pair
from tests import models
from tests.peers.content import Content, Repeated, bytes_of
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

GB = 10**9
PEAK_BYTES = 200 * 1024 * 1024


def files(size: int) -> dict[str, Content]:
    """A model of so many bytes of weights, in four files."""
    weights = {
        f"model-{number}.safetensors": Repeated(bytes([number]) * 65536, size // 4)
        for number in range(4)
    }
    return {**models.FILES, **weights}


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


def run(command: str, reference: str, *options: object, **environment: str) -> dict[str, Any]:
    """What the command says, and "peak", the memory of its process in bytes."""
    result = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, command, reference, *map(str, options), "--json"],
        capture_output=True,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return {**json.loads(result.stdout), "peak": int(result.stderr)}


def sign_and_verify(reference: str, size: int, folder: Path, **environment: str) -> None:
    """Sign the model where it lies, then check it there."""
    key = generate_key("P-256")
    write_key_pair(folder / "key", folder / "key.pub", key, None)
    signed = run("sign", reference, "--key", folder / "key", **environment)
    assert signed["bytes"] > size
    assert signed["peak"] < PEAK_BYTES
    verdict = run("verify", reference, "--public-key", folder / "key.pub", **environment)
    assert verdict["outcome"] == "admitted", verdict["reasons"]
    assert verdict["assurance"] == "bytes"
    assert verdict["coverage"]["measured_bytes"] == signed["bytes"]
    assert verdict["peak"] < PEAK_BYTES


def test_the_hub(hub: HubStandIn, tmp_path: Path) -> None:
    hub.create("org/large", files=files(GB))
    sign_and_verify("hf://org/large", GB, tmp_path, HF_TOKEN=hub.token)


def test_s3(s3: SeaweedFS, s3_bucket: str, tmp_path: Path) -> None:
    part = 25_000_000
    # A server that writes it first takes its time.
    for path, content in files(GB // 2).items():
        if isinstance(content, Repeated):
            # One byte over and over, so that all parts are alike.
            parts = [bytes_of(Repeated(content.pattern, part))] * (content.size // part)
            s3.put_multipart(s3_bucket, f"m/{path}", parts, checksum=False)
        else:
            s3.put(s3_bucket, f"m/{path}", content)
    sign_and_verify(f"s3://{s3_bucket}/m", GB // 2, tmp_path, **s3.environment())
