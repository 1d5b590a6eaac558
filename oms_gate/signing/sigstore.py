"""Signing through Sigstore: an identity in place of a key (OMS v1.0, Sigstore signing).

A certificate authority ties a key of the moment to whom an identity token names, and a
transparency log records that it was used. The sigstore library knows what to ask them. How long
they may take, and what becomes of their answers, is decided here: it would wait for ever.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self, cast

import requests
from requests.adapters import BaseAdapter

from oms_gate.errors import ConfigError, SigningError, StepError
from oms_gate.oms.quoting import one_line
from oms_gate.oms.trust import PUBLIC_GOOD, STAGING, SigstoreRoot, Trust, shipped_file
from oms_gate.signing.identity_tokens import read_token
from oms_gate.signing.services import Service, check_address
from oms_gate.signing.timestamps import timestamper

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse
    from sigstore._internal.rekor.client import RekorClient
    from sigstore._internal.rekor.client_v2 import RekorV2Client
    from sigstore._internal.timestamp import TimestampAuthorityClient
    from sigstore.models import Bundle, SigningConfig
    from sigstore.oidc import IdentityToken

_CHECK_FILES = "see that signing configuration and trusted root belong together and are up to date"
_AUTHORITY: Final = Service(
    "certificate authority",
    refused="get a new identity token, from an issuer that this authority accepts",
    unusable=_CHECK_FILES,
)
_LOG: Final = Service("transparency log", refused=_CHECK_FILES, unusable=_CHECK_FILES)


@dataclass(frozen=True)
class SigstoreInstance:
    """A Sigstore instance to sign with: where its services are, and what they are checked against.

    signing_config: its ``signing_config.json`` (Sigstore signing configuration, version 0.2).
    """

    root: SigstoreRoot
    signing_config: bytes = field(repr=False)

    @classmethod
    def public_good(cls) -> Self:
        """The public instance, where everybody may sign and everybody can see who did.

        Both files are those that ship inside the sigstore package; neither network nor cache nor
        home directory is touched. An instance changes its logs and keys now and then. With files
        that are out of date signing fails, here: nothing is handed out that does not verify. Then
        install a newer sigstore package, or give the instance's present files to `from_files`.
        """
        return cls._shipped(PUBLIC_GOOD)

    @classmethod
    def staging(cls) -> Self:
        """The instance on which Sigstore tries out what is new; it is no proof of anything.

        Its files may be out of date too, and sooner: see `public_good`.
        """
        return cls._shipped(STAGING)

    @classmethod
    def from_files(cls, trusted_root: bytes, signing_config: bytes, name: str = "private") -> Self:
        """An instance by its ``trusted_root.json`` and its ``signing_config.json``.

        Raises:
            ConfigError: one of them is something else, or names no services to sign with now.
        """
        instance = cls(SigstoreRoot.from_json(name, trusted_root), signing_config)
        instance.services  # noqa: B018 - read it now, so that a fault in it shows at start-up
        return instance

    @classmethod
    def _shipped(cls, name: str) -> Self:
        return cls.from_files(
            shipped_file(name, "trusted_root.json"),
            shipped_file(name, "signing_config.v0.2.json"),
            name,
        )

    @property
    def trust(self) -> Trust:
        """What signatures made with it must verify under."""
        return Trust(sigstore={self.root.name: self.root})

    def refused(self, error: StepError) -> SigningError:
        """The error for a signature made with it that does not."""
        # Without its advice, which is for those who got the file from somebody else.
        fault = error.reason.message.rpartition("; ")[0]
        return SigningError(
            f"the services of the Sigstore instance {self.root.name!r} made no valid signature "
            f"({fault}); {_CHECK_FILES}"
        )

    @cached_property
    def services(self) -> SigningConfig:
        """The services that are to be used now, as the sigstore library picks them.

        Raises:
            ConfigError: see `from_files`.
        """
        from sigstore._internal.rekor.client_v2 import RekorV2Client
        from sigstore.models import SigningConfig
        from sigstore_models.trustroot import v1

        try:
            stated = v1.SigningConfig.from_json(self.signing_config)
            for service in (*stated.ca_urls, *stated.oidc_urls):
                check_address(service.url, secret=True)
            for service in (*stated.rekor_tlog_urls, *stated.tsa_urls):
                check_address(service.url)
            services = SigningConfig(stated)
            if isinstance(services.get_tlogs()[0], RekorV2Client) and not services.get_tsas():
                raise ValueError(
                    "its transparency log proves no time, and no timestamp authority is named"
                )
        except Exception as error:
            raise ConfigError(
                f"the signing configuration of the Sigstore instance {self.root.name!r} is not a "
                f"usable signing_config.json: {one_line(error)}"
            ) from error
        return services


def sign_with_sigstore(payload: bytes, instance: SigstoreInstance, token: str) -> bytes:
    """The bundle of a statement, by whom an identity token names.

    The token goes to the instance's certificate authority and nowhere else. The identity that it
    names goes into the file and, for good, into a log that others may read. What the services
    answered is not verified here, but by `ModelSigner.sign`.

    payload: as of `sign_with_key`.
    token: see `identity_tokens`.

    Raises:
        ConfigError: see `SigstoreInstance.from_files`.
        SigningError: the token cannot be used, or a service refuses, fails or is too slow.
    """
    bundle = json.loads(_sign(payload, instance, read_token(token)).to_json())
    return (json.dumps(bundle, indent=2) + "\n").encode("ascii")


def _sign(payload: bytes, instance: SigstoreInstance, identity: IdentityToken) -> Bundle:
    from sigstore._internal.fulcio import ExpiredCertificate
    from sigstore.dsse import Statement
    from sigstore.models import TrustedRoot
    from sigstore.sign import Signer, SigningContext

    services = instance.services
    authority = services.get_fulcio()
    log = cast("RekorClient | RekorV2Client", services.get_tlogs()[0])
    stampers = [_Timestamps(client.url) for client in services.get_tsas()]
    _take_over(authority.session, _AUTHORITY)
    _take_over(log._session, _LOG)
    context = SigningContext(
        fulcio=authority,
        rekor=log,
        trusted_root=TrustedRoot(instance.root.trusted_root),
        tsa_clients=cast("list[TimestampAuthorityClient]", stampers),
    )
    with _AUTHORITY.answering(authority.url):
        signer = Signer(identity, context)
    with _LOG.answering(log.url):
        try:
            return signer.sign_dsse(Statement(payload))
        except ExpiredCertificate as error:
            raise SigningError(
                f"{_AUTHORITY.at(authority.url)} gave a certificate that has expired already; "
                "check this machine's clock, then sign again"
            ) from error


def _take_over(session: requests.Session, service: Service) -> None:
    # Else a password for that host in ~/.netrc would take the place of the token.
    session.trust_env = False
    for scheme in ("http", "https"):
        session.mount(f"{scheme}://", _Transport(service))


class _Transport(BaseAdapter):
    """A transport of requests for one service, bounded as `Service.post` is."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service

    def send(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> requests.Response:
        """Send one request; what comes back is an answer of success.

        Raises:
            SigningError: see `Service.post`.
        """
        url, body = request.url or "", request.body or b""
        content = self._service.post(
            url, body.encode() if isinstance(body, str) else body, request.headers
        )
        response = requests.Response()
        response.status_code, response.encoding = 200, "utf-8"
        response.raw = io.BytesIO(content)
        response.url, response.request = url, request
        return response

    def close(self) -> None:
        """Nothing is kept between requests."""


class _Timestamps:
    """A timestamp authority as the library wants it.

    The failures of the library's own are only logged: the signature would then have less evidence
    than its maker configured, and nobody would know until it is needed.
    """

    def __init__(self, url: str) -> None:
        self._timestamp = timestamper(url)

    def request_timestamp(self, signature: bytes) -> TimeStampResponse:
        """A timestamp for a signature.

        Raises:
            SigningError: see `timestamper`.
        """
        from rfc3161_client import decode_timestamp_response

        return decode_timestamp_response(self._timestamp(signature))
