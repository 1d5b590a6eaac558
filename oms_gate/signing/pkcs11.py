"""Signing keys that lie in a token: a hardware module, a smart card or a service behind PKCS #11.

A key is named by its URI (RFC 7512), such as
``pkcs11:token=release;object=models?module-path=/usr/lib/softhsm/libsofthsm2.so``. The private
key never leaves the token: it is given a digest, and answers with a signature.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote_from_bytes

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from oms_gate.errors import ConfigError, SigningError
from oms_gate.oms import dsse
from oms_gate.oms.quoting import one_line, quoted
from oms_gate.signing.token_uri import PIN_VARIABLE, TokenUri

if TYPE_CHECKING:
    import pkcs11

# CKA_EC_PARAMS: the DER of the curve's object identifier.
_CURVES: Final[dict[bytes, ec.EllipticCurve]] = {
    bytes.fromhex("06082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06052b81040022"): ec.SECP384R1(),
    bytes.fromhex("06052b81040023"): ec.SECP521R1(),
}
_MOST_LISTED = 10

# A module is initialized once for a whole process, for one thread, and so is its login.
_MODULE_IS_FREE = threading.Lock()


class TokenKey:
    """A private key in a token, for as long as the session is open; for one thread.

    certificate: the token's certificate for the key; of several, the one that is valid longest.
    """

    def __init__(
        self,
        key: pkcs11.SignMixin,
        public_key: ec.EllipticCurvePublicKey,
        certificate: x509.Certificate | None,
        pin: str | None,
    ) -> None:
        self.certificate = certificate
        self._key = key
        self._public_key = public_key
        self._pin = pin

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Its public half, as the token shows it."""
        return self._public_key

    def sign(self, data: bytes, signature_algorithm: ec.ECDSA, /) -> bytes:
        """The signature in DER over `data`, which is hashed here.

        Raises:
            SigningError: the token fails, or its answer is no signature by this key.
        """
        from pkcs11 import Mechanism, PKCS11Error

        digest = hashes.Hash(cast("hashes.HashAlgorithm", signature_algorithm.algorithm))
        digest.update(data)
        try:
            raw = self._key.sign(digest.finalize(), mechanism=Mechanism.ECDSA, pin=self._pin)
        except PKCS11Error as error:
            raise SigningError(
                f"the token did not sign ({one_line(error)}); check that it is connected and that "
                "its key may be used for ECDSA"
            ) from error
        half = len(raw) // 2
        signature = encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
        try:
            self._public_key.verify(signature, data, signature_algorithm)
        except InvalidSignature as error:
            raise SigningError(
                "the token signed with another key than the public one that it shows beside it; "
                "give each key pair in the token an id of its own"
            ) from error
        return signature


@contextmanager
def open_token_key(uri: str) -> Iterator[TokenKey]:
    """Log in to a token and hand out one of its keys; in the end log out, whatever happened.

    One at a time in a process: PKCS #11 shares a module's state and login between all who use it.

    Raises:
        UsageError: see `TokenUri.parse`.
        ConfigError: the module cannot be used, no token or key is what the URI says or more than
            one is, the PIN is missing or refused, or the key is of a kind that cannot sign models.
        SigningError: the token fails, or another of its keys is open in this process.
    """
    address = TokenUri.parse(uri)
    pin = address.pin()
    if not _MODULE_IS_FREE.acquire(blocking=False):
        raise SigningError(
            "another key in a token is open in this process; sign with one after the other"
        )
    try:
        with _initialized(address.module) as module:
            token = _token(module, address)
            with _logged_in(token, pin) as session:
                yield _key(session, token, address, pin)
    finally:
        _MODULE_IS_FREE.release()


@contextmanager
def _initialized(path: Path) -> Iterator[Any]:
    try:
        import pkcs11
    except ImportError as error:
        raise ConfigError(
            "a key in a token needs python-pkcs11, which is not installed: pip install "
            "'oms-gate[pkcs11]'"
        ) from error
    try:
        module = pkcs11.lib(str(path))
    except pkcs11.PKCS11Error as error:
        raise ConfigError(
            f"the PKCS #11 module {path} cannot be used ({one_line(error)}); check module-path "
            "and the module's own configuration"
        ) from error
    try:
        yield module
    except pkcs11.PKCS11Error as error:
        raise SigningError(
            f"the token failed ({one_line(error)}); check that it is connected, and try again"
        ) from error
    finally:
        # This also ends the session that a refused login leaves behind.
        with suppress(pkcs11.PKCS11Error):
            module.finalize()


def _token(module: Any, address: TokenUri) -> pkcs11.Token:
    from pkcs11 import TokenFlag, TokenNotPresent, TokenNotRecognised

    present: list[pkcs11.Token] = []
    for slot in module.get_slots(token_present=True):
        with suppress(TokenNotPresent, TokenNotRecognised):
            token = slot.get_token()
            if TokenFlag.TOKEN_INITIALIZED in token.flags:
                present.append(token)
    found = [token for token in present if _is_meant(token, address.attributes)]
    if len(found) != 1:
        held = [f"{quoted(token.label)} (serial {_shown(token.serial)})" for token in present]
        raise ConfigError(
            f"{'no token is' if not found else 'more than one token is'} what the PKCS #11 URI "
            f"says; give token= or serial= of one of those present: {_listed(held)}"
        )
    return found[0]


def _is_meant(token: pkcs11.Token, attributes: Mapping[str, bytes]) -> bool:
    own = {
        "token": token.label.encode(),
        "manufacturer": token.manufacturer_id.encode(),
        "serial": token.serial,
        "model": token.model.encode(),
        "slot-id": b"%d" % token.slot.slot_id,
    }
    return all(value == attributes.get(name, value) for name, value in own.items())


@contextmanager
def _logged_in(token: pkcs11.Token, pin: str | None) -> Iterator[pkcs11.Session]:
    import pkcs11
    from pkcs11.attributes import AttributeMapper

    if pin is None and pkcs11.TokenFlag.LOGIN_REQUIRED in token.flags:
        raise ConfigError(
            f"the token {quoted(token.label)} wants a PIN; put it into a file that pin-source in "
            f"the PKCS #11 URI names, or into {PIN_VARIABLE}"
        )
    # What tokens hold is not always what it should be, so it is read as it is.
    raw = AttributeMapper()
    for attribute in (pkcs11.Attribute.LABEL, pkcs11.Attribute.ALWAYS_AUTHENTICATE):
        raw.register_handler(attribute, bytes, bytes)
    try:
        session = token.open(user_pin=pin, attribute_mapper=raw)
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange) as error:
        raise ConfigError(
            f"the token {quoted(token.label)} refuses the PIN; correct it before trying again, as "
            "tokens lock after a few wrong ones"
        ) from error
    except (pkcs11.PinLocked, pkcs11.PinExpired, pkcs11.UserPinNotInitialized) as error:
        raise ConfigError(
            f"the PIN of the token {quoted(token.label)} cannot be used ({one_line(error)}); have "
            "the token's administrator set it anew"
        ) from error
    try:
        yield session
    finally:
        with suppress(pkcs11.PKCS11Error):
            session.close()


def _key(
    session: pkcs11.Session, token: pkcs11.Token, address: TokenUri, pin: str | None
) -> TokenKey:
    from pkcs11 import Attribute, KeyType, ObjectClass, SignMixin

    kind = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.EC}
    names = {"object": Attribute.LABEL, "id": Attribute.ID}
    wanted = {
        attribute: address.attributes[name]
        for name, attribute in names.items()
        if name in address.attributes
    }
    found = _objects(session, kind | wanted)
    if len(found) != 1:
        held = [
            f"{quoted(_read(key, Attribute.LABEL).decode('utf-8', 'replace'))} "
            f"(id={quote_from_bytes(_read(key, Attribute.ID), safe='')})"
            for key in _objects(session, kind)
        ]
        raise ConfigError(
            f"{'no' if not found else 'more than one'} elliptic curve private key in the token "
            f"{quoted(token.label)} is what the PKCS #11 URI says; give object= or id= of one of "
            f"those in it: {_listed(held)}"
        )
    key = found[0]
    if not isinstance(key, SignMixin):
        raise ConfigError("the key in the token may not sign (CKA_SIGN); name another key")
    public_key, certificate = _public_half(session, key)
    # Such a key wants the PIN again for each signature.
    again = any(_read(key, Attribute.ALWAYS_AUTHENTICATE))
    return TokenKey(key, public_key, certificate, pin if again else None)


def _public_half(
    session: pkcs11.Session, key: pkcs11.Object
) -> tuple[ec.EllipticCurvePublicKey, x509.Certificate | None]:
    """What the token shows of the public half, which lies beside the key under the same id."""
    from pkcs11 import Attribute, CertificateType, ObjectClass

    attribute = Attribute.ID if _read(key, Attribute.ID) else Attribute.LABEL
    same = {attribute: _read(key, attribute)}
    publics = _objects(session, {Attribute.CLASS: ObjectClass.PUBLIC_KEY, **same})
    shown = [point for item in (key, *publics) if (point := _point(item)) is not None]
    x509_certificate = {
        Attribute.CLASS: ObjectClass.CERTIFICATE,
        Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
    }
    certificates = [
        _certificate(_read(item, Attribute.VALUE))
        for item in _objects(session, x509_certificate | same)
    ]
    shown += [cast("ec.EllipticCurvePublicKey", one.public_key()) for one in certificates]
    if not shown:
        raise ConfigError(
            "the token shows no public half of the key; store its public key or its certificate "
            "in it, with the same id"
        )
    if any(public_key != shown[0] for public_key in shown):
        raise ConfigError(
            "the token shows public keys or certificates of different keys under one id; give "
            "each key pair an id of its own"
        )
    longest = max(certificates, key=lambda one: one.not_valid_after_utc, default=None)
    return shown[0], longest


def _point(item: pkcs11.Object) -> ec.EllipticCurvePublicKey | None:
    from pkcs11 import Attribute

    parameters, value = _read(item, Attribute.EC_PARAMS), _read(item, Attribute.EC_POINT)
    if not parameters or not value:
        return None
    curve = _CURVES.get(parameters)
    if curve is None:
        raise _other_curve()
    size = 1 + 2 * ((curve.key_size + 7) // 8)
    # An OCTET STRING around the point; some modules leave it out.
    header = bytes([4, size]) if size < 128 else bytes([4, 0x81, size])
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(
            curve, value.removeprefix(header) if len(value) > size else value
        )
    except ValueError as error:
        raise ConfigError("the token shows a public key that is none; store it anew") from error


def _certificate(der: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
    except Exception as error:
        raise ConfigError(
            "the token holds a certificate beside the key that cannot be read; store it anew"
        ) from error
    if not dsse.is_supported(key):
        raise _other_curve()
    return certificate


def _other_curve() -> ConfigError:
    return ConfigError(
        "the key in the token is not on P-256, P-384 or P-521, on which models are signed; name "
        "another key"
    )


def _objects(
    session: pkcs11.Session, wanted: Mapping[pkcs11.Attribute, Any]
) -> list[pkcs11.Object]:
    # All at once: a search that is not brought to its end fails when it is collected as garbage.
    return list(session.get_objects(dict(wanted)))


def _read(item: pkcs11.Object, attribute: pkcs11.Attribute) -> bytes:
    """An attribute's value; nothing where the token does not show it."""
    from pkcs11 import AttributeSensitive, AttributeTypeInvalid, FunctionFailed

    try:
        return bytes(item[attribute])
    except (AttributeTypeInvalid, AttributeSensitive, FunctionFailed):
        return b""


def _shown(serial: bytes) -> str:
    return quoted(serial.decode("utf-8", "replace"))


def _listed(items: list[str]) -> str:
    more = len(items) - _MOST_LISTED
    return ", ".join(items[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "") or "none"
