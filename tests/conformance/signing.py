"""``sign-model``: hash a folder or a file where it lies, sign what was hashed, write the bundle."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from oms_gate.errors import UsageError
from oms_gate.reference import Reference
from oms_gate.signing.identity_tokens import ambient_token
from oms_gate.signing.keys import load_certificates, load_private_key
from oms_gate.signing.model import ModelSigner, Signing, sign_model
from oms_gate.signing.sigstore import SigstoreInstance
from tests.conformance.places import inside


@contextmanager
def signing(options: Namespace) -> Iterator[Callable[[], None]]:
    """A signing as the options describe it, ready to be run.

    It raises what `sign_model` does.

    Raises:
        UsageError: options are missing.
        ConfigError: a key, certificate or Sigstore instance cannot be used.
        SigningError: there should be an identity token, but it cannot be had.
    """
    model = Reference("file", os.path.abspath(options.model_path))
    signer = _signer(options)
    with TemporaryDirectory() as unwanted:
        how = Signing(
            output=options.output_bundle or Path(unwanted, "model.sig"),
            ignore_paths=set(inside(options.model_path, options.ignore_paths)),
            hash_type=options.hash_algorithm,
            shard_size=options.shard_size,
        )

        def sign() -> None:
            sign_model(model, signer, how)

        yield sign


def _signer(options: Namespace) -> ModelSigner:
    if options.method == "sigstore":
        token = options.identity_token if options.identity_token is not None else ambient_token()
        if token is None:
            raise UsageError("--identity-token is missing, and there is none where this runs")
        shipped = SigstoreInstance.staging if options.use_staging else SigstoreInstance.public_good
        return ModelSigner.by_sigstore(shipped(), lambda: token)
    if options.private_key is None:
        raise UsageError("--private-key is missing")
    key = load_private_key(options.private_key, None)
    if options.method == "key":
        return ModelSigner.by_key(key)
    if options.signing_cert is None:
        raise UsageError("--signing-cert is missing")
    chain = load_certificates([options.signing_cert, *options.cert_chain])
    return ModelSigner.by_certificate(key, chain)
