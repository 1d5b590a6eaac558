"""A real PKCS #11 module for the tests: SoftHSM2, with its tokens in a folder of the test's own.

tokens = SoftHSM(folder)               # SOFTHSM2_CONF must lead to tokens.configuration
tokens.create("release")
tokens.generate("release", "models", b"\\x01")
tokens.uri(token="release", object="models")
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pkcs11.util.ec import encode_named_curve_parameters

PIN: Final = "1234-öä"
_SO_PIN = "security officer"
_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


class SoftHSM:
    """The module and a folder of tokens, all with the PIN `PIN`. Skips the test without it."""

    def __init__(self, folder: Path) -> None:
        modules = [module for module in _MODULES if Path(module).exists()]
        if not modules or shutil.which("softhsm2-util") is None:
            pytest.skip("SoftHSM2 is missing: apt-get install softhsm2")
        self.module = modules[0]
        (folder / "tokens").mkdir(parents=True)
        self.configuration = folder / "softhsm2.conf"
        self.configuration.write_text(
            f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
        )

    def create(self, token: str) -> None:
        """A new token."""
        subprocess.run(
            [
                *("softhsm2-util", "--init-token", "--free"),
                *("--label", token, "--so-pin", _SO_PIN, "--pin", PIN),
            ],
            env=os.environ | {"SOFTHSM2_CONF": str(self.configuration)},
            check=True,
            capture_output=True,
        )

    @contextmanager
    def session(self, token: str) -> Iterator[pkcs11.Session]:
        """Log in to a token, to change what is in it."""
        module = pkcs11.lib(self.module)
        try:
            with module.get_token(token_label=token).open(rw=True, user_pin=PIN) as session:
                yield session
        finally:
            module.finalize()

    def generate(
        self,
        token: str,
        label: str,
        identity: bytes,
        curve: str = "secp256r1",
        private: dict[pkcs11.Attribute, bool] | None = None,
    ) -> None:
        """Have a token make a key pair; private: differences in the private object."""
        with self.session(token) as session:
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC,
                {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)},
                local=True,
            )
            parameters.generate_keypair(
                store=True, label=label, id=identity, private_template=private or {}
            )

    def generate_rsa(self, token: str, label: str, identity: bytes) -> None:
        """Have a token make an RSA key pair."""
        with self.session(token) as session:
            session.generate_keypair(pkcs11.KeyType.RSA, 2048, store=True, label=label, id=identity)

    def remove(self, token: str, kind: pkcs11.ObjectClass, identity: bytes) -> None:
        """Delete an object of a token."""
        wanted = {pkcs11.Attribute.CLASS: kind, pkcs11.Attribute.ID: identity}
        with self.session(token) as session:
            for found in list(session.get_objects(wanted)):
                found.destroy()

    def store_public_key(self, token: str, point: bytes, identity: bytes) -> None:
        """Put a public key on P-256 into a token; point: whatever is to be its CKA_EC_POINT."""
        with self.session(token) as session:
            session.create_object(
                {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY,
                    pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC,
                    pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1"),
                    pkcs11.Attribute.EC_POINT: point,
                    pkcs11.Attribute.ID: identity,
                    pkcs11.Attribute.TOKEN: True,
                }
            )

    def store_certificate(
        self, token: str, certificate: x509.Certificate | bytes, identity: bytes
    ) -> None:
        """Put a certificate into a token."""
        if isinstance(certificate, x509.Certificate):
            certificate = certificate.public_bytes(Encoding.DER)
        with self.session(token) as session:
            session.create_object(
                {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE,
                    pkcs11.Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
                    pkcs11.Attribute.SUBJECT: b"0\0",
                    pkcs11.Attribute.VALUE: certificate,
                    pkcs11.Attribute.ID: identity,
                    pkcs11.Attribute.TOKEN: True,
                }
            )

    def uri(self, *, pin: str | None = PIN, **attributes: str | bytes) -> str:
        """The URI of what has these attributes; `slot_id` is slot-id."""
        path = ";".join(
            f"{name.replace('_', '-')}={quote(value, safe='')}"
            for name, value in attributes.items()
        )
        secret = "" if pin is None else f"&pin-value={quote(pin, safe='')}"
        return f"pkcs11:{path}?module-path={self.module}{secret}"
