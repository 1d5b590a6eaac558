"""Servers on this machine, with TLS or without, and how a store reads from them."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings
from oms_gate.stores.http import HttpReader
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.web import WebStore
from tests.models import new_key

LIMITS = Limits(read_seconds=2, connect_seconds=2, retries=0)


def snapshot(url: str) -> Snapshot:
    return WebStore(StoreSettings(), LIMITS).snapshot(Reference.parse(url))


def read(of: Snapshot, path: str) -> bytes:
    return b"".join(bytes(chunk) for chunk in of.chunks(path))


def fetched(reader: HttpReader, file: RemoteFile) -> bytes:
    buffer = memoryview(bytearray(64))
    return b"".join(bytes(chunk) for chunk in reader.chunks(file, 0, None, buffer))


class QuietHandler(BaseHTTPRequestHandler):
    """Answers, and says nothing of it."""

    def log_message(self, *_: object) -> None:
        pass


class Files(QuietHandler, SimpleHTTPRequestHandler):
    """Serves a folder, and redirects what is asked for below /to-plain-http/."""

    def do_GET(self) -> None:
        if self.path.startswith("/to-plain-http"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/x")
            self.end_headers()
        else:
            super().do_GET()


@contextmanager
def serving(handler: object, context: ssl.SSLContext | None = None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:  # type: ignore[arg-type]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def certify_localhost(folder: Path) -> Path:
    """A certificate for localhost with its key, in one file."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + pem_of(key))
    return path


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
