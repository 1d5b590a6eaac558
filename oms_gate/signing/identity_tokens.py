"""Identity tokens: by what Sigstore knows who signs (OpenID Connect).

Whoever has one may sign in that name while it lasts, some minutes: no token is in any message.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from oms_gate.errors import ConfigError, SigningError, StoreError
from oms_gate.oms.quoting import one_line
from oms_gate.signing.services import SERVICE_SECONDS
from oms_gate.stores import within

if TYPE_CHECKING:
    from sigstore.oidc import IdentityToken

    from oms_gate.signing.sigstore import SigstoreInstance

AUDIENCE: Final = "sigstore"
"""For whom a token must be meant, at every Sigstore instance."""

TOKEN_VARIABLE: Final = "SIGSTORE_ID_TOKEN"  # noqa: S105 - its name, not a token
"""The environment variable for a token, which cosign and GitLab jobs use too."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2}")
# By the names of PyJWT's errors.
_FAULTS: Final = {
    "ExpiredSignatureError": "it has expired",
    "ImmatureSignatureError": "it is not valid yet",
    "InvalidAudienceError": f"it is for another audience than {AUDIENCE!r}",
}


def ambient_token() -> str | None:
    """The token of where this runs, or None where there is none.

    That is the one in the environment variable ``SIGSTORE_ID_TOKEN``; else that of the job, on
    GitHub Actions, GitLab, Google Cloud, Buildkite or CircleCI.

    Raises:
        SigningError: there should be one, but it cannot be had.
    """
    if (token := os.environ.get(TOKEN_VARIABLE)) is not None:
        # It is empty for want of a secret, which must not make the job the signer.
        if not token.strip():
            raise SigningError(
                f"the variable {TOKEN_VARIABLE} is set but empty; set it to an identity token, or "
                "unset it to sign as this job or by a login"
            )
        return token
    from sigstore.oidc import detect_credential

    try:
        return within(SERVICE_SECONDS, lambda: detect_credential(AUDIENCE))
    except StoreError:
        fault = f"it did not come within {SERVICE_SECONDS:g} seconds"
    except Exception as error:  # noqa: BLE001 - the cause may repeat a secret of the job
        fault, body, _ = one_line(error).partition(", body=")
        fault += ")" if body else ""
    raise SigningError(
        f"the identity token of this job cannot be had ({fault}); allow the job to get one (on "
        f"GitHub by the permission 'id-token: write'), or set {TOKEN_VARIABLE}"
    )


def interactive_token(instance: SigstoreInstance) -> str:
    """A token for whoever is at the keyboard, who logs in with a browser meanwhile.

    Waits for them, on the standard streams. Where no browser can be opened, a link is shown for one
    elsewhere, and the code asked for that the login ends with.

    Raises:
        ConfigError: the instance has nobody to log in with.
        SigningError: the login failed.
    """
    from sigstore.errors import Error
    from sigstore.oidc import IdentityError, Issuer

    try:
        url = instance.services.get_oidc_url()
    except Error as error:
        raise ConfigError(
            f"the signing configuration of the Sigstore instance {instance.root.name!r} names no "
            "provider of identities to log in with; give an identity token"
        ) from error
    try:
        return str(Issuer(url).identity_token(AUDIENCE))
    except Exception as error:  # noqa: BLE001 - the cause may hold the token
        said = error if isinstance(error, IdentityError) else error.__cause__ or error
        fault = one_line(said)
    raise SigningError(
        f"the login with {url} failed ({fault}); try again, or give an identity token"
    )


def read_token(token: str) -> IdentityToken:
    """What a token says; whether it is true, only a certificate authority can tell.

    Raises:
        SigningError: it is no token, has expired, names nobody, or is not for Sigstore.
    """
    from sigstore.oidc import IdentityToken

    fault = "it names nobody"
    # The library would pass over whatever else stands in it, and then show it in an error.
    if not _TOKEN.fullmatch(token := token.strip()):
        fault = "it is no JSON Web Token"
    else:
        try:
            identity = IdentityToken(token, AUDIENCE)
            if identity.identity:
                return identity
        except Exception as error:  # noqa: BLE001 - the cause may hold the token
            fault = _fault(error)
    raise SigningError(f"the identity token cannot be used: {fault}; get a new one")


def _fault(error: Exception) -> str:
    """What the library holds against a token, in words that show nothing of it but names."""
    from sigstore.oidc import IdentityError

    cause = error.__cause__
    if claim := getattr(cause, "claim", None):
        return f"it lacks the claim {claim!r}"
    if isinstance(error, IdentityError) and cause is None:
        return str(error).replace("Identity token", "it")
    return _FAULTS.get(type(cause).__name__, "it is malformed")
