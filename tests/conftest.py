"""Fixtures that every test may use: the test peers, the corpus, and a home of one's own.

Nothing a test does reaches the user's home or the network: the environment is cleared of tokens,
proxies and endpoints here, before any library reads it, and each test gets a home directory.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from tests.peers.cluster import Cluster
    from tests.peers.hub import HubStandIn
    from tests.peers.seaweedfs import SeaweedFS

_NOWHERE = "http://127.0.0.1:9"
_FOREIGN = ("HF_", "HUGGING", "AWS_", "XDG_", "OMS_GATE_")
_SWITCHES = {
    "HF_ENDPOINT": _NOWHERE,
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # The stand-in offers no Xet, and with it enabled every upload would go there.
    "HF_HUB_DISABLE_XET": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_numbers = count()

for _name in list(os.environ):
    if _name.startswith(_FOREIGN) or _name.lower().endswith("_proxy"):
        del os.environ[_name]
os.environ.update(_SWITCHES)


# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Silence what huggingface_hub's own upload to LFS says about its own transport."""
    config.addinivalue_line("filterwarnings", "ignore:Use 'content=:DeprecationWarning")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a server in one worker process, so that it is started once.

    A test has one group. Where it needs both servers, it goes where the cluster is, and that
    worker starts an S3 server of its own, which is the quicker of the two.
    """
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "cluster" in names:
            item.add_marker(pytest.mark.xdist_group("kubernetes"))
        elif "s3" in names:
            item.add_marker(pytest.mark.xdist_group("s3"))


@pytest.fixture(scope="session")
def opa() -> Path:
    """OPA's own program, as ``make peers`` builds it."""
    local = Path(__file__).parents[1] / ".tools" / "bin" / "opa"
    program = str(local) if local.exists() else shutil.which("opa")
    if program is None:
        pytest.skip("there is no opa in .tools/bin or on the PATH: run `make peers`")
    return Path(program)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def home(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory for this test and for every program that it starts."""
    home = _homes / str(next(_numbers))
    home.mkdir()
    hub_home = home / "huggingface"
    monkeypatch.setenv("HOME", str(home))
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.setenv("HF_HOME", str(hub_home))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "aws-credentials"))
    # huggingface_hub reads its environment once, when it is imported.
    if constants := sys.modules.get("huggingface_hub.constants"):
        for name, place in (
            ("HF_HOME", hub_home),
            ("HF_HUB_CACHE", hub_home / "hub"),
            ("HF_ASSETS_CACHE", hub_home / "assets"),
            ("HF_XET_CACHE", hub_home / "xet"),
            ("HF_TOKEN_PATH", hub_home / "token"),
            ("HF_STORED_TOKENS_PATH", hub_home / "stored_tokens"),
        ):
            monkeypatch.setattr(constants, name, str(place))
    return home


@pytest.fixture(scope="session")
def key() -> ec.EllipticCurvePrivateKey:
    """The key of a publisher whom gates trust."""
    from tests import models

    return models.new_key()


@pytest.fixture(scope="session")
def public_key(key: ec.EllipticCurvePrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with its public half, as operators configure it."""
    from tests import models

    path = tmp_path_factory.mktemp("trusted") / "acme.pub"
    path.write_bytes(models.public_pem(key))
    return path


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Compile a policy for the first gate that has it."""
    import wasmtime

    from tests.compiled import CompiledOnce

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wasmtime, "Module", CompiledOnce)
        yield


@pytest.fixture(autouse=True)
def shared_gates() -> Iterator[None]:
    """Gates of the environment last as long as the process; here, as long as the test."""
    yield
    if module := sys.modules.get("oms_gate.gate"):
        while module._shared:
            _, gate = module._shared.popitem()
            module.Gate.close(gate)


@pytest.fixture(scope="session")
def _hub_server() -> Iterator[HubStandIn]:
    import huggingface_hub

    from tests.peers.hub import HubStandIn

    one_host = not huggingface_hub.__version__.startswith("1.")
    with HubStandIn(cdn_host="127.0.0.1" if one_host else "localhost") as hub:
        yield hub


@pytest.fixture
def hub(_hub_server: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """The stand-in for the Hugging Face Hub, without repositories and with an empty log.

    It is what huggingface_hub talks to by default during the test, here and in subprocesses
    (HF_ENDPOINT); no token is set. The test fails if the stand-in itself did.
    """
    from huggingface_hub import HfFileSystem, constants, file_download

    endpoint = _hub_server.endpoint
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    for module in (constants, file_download):  # 0.36 has a copy
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    yield _hub_server
    HfFileSystem.clear_instance_cache()
    _hub_server.reset()


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[SeaweedFS]:
    from tests.peers.seaweedfs import SeaweedFS

    with SeaweedFS() as server:
        server.reset()
        yield server


@pytest.fixture
def s3(_s3_server: SeaweedFS) -> Iterator[SeaweedFS]:
    """A real S3 server behind a logging proxy, with an empty log and without buckets.

    Starting it takes about three seconds, so it is started once a session; every pytest-xdist
    worker has a session of its own. The tests that use it (also by `s3_bucket` and
    `s3_versioned_bucket`) are therefore given ``pytest.mark.xdist_group("s3")``, for
    ``--dist loadgroup`` to keep them in one worker. Where xdist fails to (3.8 under pytest 9.2
    does not see groups), each worker starts a server, and all is right but a little slower.
    """
    import s3fs

    yield _s3_server
    s3fs.S3FileSystem.clear_instance_cache()
    _s3_server.reset()


@pytest.fixture
def s3_bucket(s3: SeaweedFS) -> str:
    """The name of an empty bucket without versions."""
    return s3.create_bucket()


@pytest.fixture
def s3_versioned_bucket(s3: SeaweedFS) -> str:
    """The name of an empty bucket that keeps versions."""
    return s3.create_bucket(versioned=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real Kubernetes API server, which knows the CRDs of those whose objects start models.

    It takes about three seconds and is started once a session, in one worker as `s3` is. Each
    test makes a `namespace` of its own, and installs webhooks for no longer than it lasts.
    """
    from tests.peers.cluster import PROGRAMS, Cluster, program

    if missing := [name for name in PROGRAMS if program(name) is None]:
        names = ", ".join(missing)
        pytest.skip(f"there is no {names} in .tools/bin or on the PATH: run `make peers`")
    with Cluster() as server:
        yield server
