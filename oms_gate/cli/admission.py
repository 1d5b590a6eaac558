"""Which models are admitted, as the options of a command say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from oms_gate.config import GateConfig, load_config, revised
from oms_gate.errors import UsageError
from oms_gate.mistakes import mistakes
from oms_gate.policy.publishers import KnownSigner
from oms_gate.reference import Reference
from oms_gate.settings import TrustSettings

_RULE = "command line"


@dataclass(frozen=True)
class SignerOptions:
    """Who must have signed, as the options say it: by one method.

    timestamp_authority: with a certificate, also says that it may have expired since.
    """

    identity: str | None = None
    identity_pattern: str | None = None
    issuer: str | None = None
    public_key: Path | None = None
    certificate_root: Path | None = None
    timestamp_authority: Path | None = None
    trusted_root: Path | None = None

    @property
    def given(self) -> bool:
        """Whether any is: an empty one counts, and is refused later."""
        return any(value is not None for value in vars(self).values())


def expected_signer(options: SignerOptions) -> tuple[TrustSettings, KnownSigner]:
    """Whom the options expect to have signed something else than a model, and by which trust.

    Raises:
        UsageError: they cannot be meant together.
    """
    trust, signer = _signer(options)
    try:
        known: KnownSigner = TypeAdapter(KnownSigner).validate_python(signer)
    except ValidationError as error:
        raise UsageError("; ".join(map(str, mistakes(error, ())))) from None
    return TrustSettings.model_validate({"public_good": False, **trust}), known


@dataclass(frozen=True)
class Admission:
    """The options that say how the gate decides.

    policy: a folder, a bundle, or the URL of an OPA server.
    signature: where the bundle is.
    """

    config: Path | None
    signer: SignerOptions
    policy: str | None
    signature: str | None

    def settings(self, *models: Reference) -> GateConfig:
        """The configuration of the gate for these models.

        Raises:
            UsageError: the options cannot be meant together.
            ConfigError: a file that they name cannot be used.
        """
        settings = self.settings_of_anybody(*models)
        if not settings.says_who_signs:
            raise UsageError(
                "nobody is named who may sign this model: give --config gate.yaml with "
                "publishers, or --identity with --issuer, --public-key, or --certificate-root"
            )
        return settings

    def settings_of_anybody(self, *models: Reference) -> GateConfig:
        """The same, where they need not say who may sign.

        Raises:
            UsageError: the options cannot be meant together.
            ConfigError: a file that they name cannot be used.
        """
        settings = _with_signer(self._configured(), self.signer, models)
        return self._with_signature(_with_policy(settings, self.policy, self.signer))

    def settings_of_a_pin(self) -> GateConfig:
        """The configuration of the gate for a signature that somebody else has judged.

        Of a configuration count its stores, its limits, its evidence, and where and in which format
        signatures are; none of its trust roots and policies is read.

        Raises:
            UsageError: the options say who must have signed, or what is to decide.
            ConfigError: the configuration cannot be used.
        """
        if self.signer.given or self.policy is not None:
            raise UsageError(
                "--pinned-signature says that signer and policy were decided on before; leave out "
                "--policy and the options of the signer"
            )
        settings = self._configured()
        trust = TrustSettings(public_good=False, old_format=settings.trust.old_format)
        kept = GateConfig(
            signature=settings.signature,
            trust=trust,
            stores=settings.stores,
            limits=settings.limits,
            # Whose summaries count is said by trust roots, and there are none.
            evidence=settings.evidence.model_copy(update={"accept_summaries": ()}),
        )
        return self._with_signature(kept)

    def _configured(self) -> GateConfig:
        return load_config(self.config) if self.config is not None else GateConfig()

    def _with_signature(self, settings: GateConfig) -> GateConfig:
        if self.signature is None:
            return settings
        return revised(settings, signature=self.signature)


def _with_signer(
    config: GateConfig, options: SignerOptions, models: Sequence[Reference]
) -> GateConfig:
    """The configuration with the signer of the options instead of its own publishers."""
    if not options.given:
        return config
    trust, signer = _signer(options)
    anything = ["/**" if model.is_local else f"{model.scheme}://**" for model in models]
    publisher = {"name": _RULE, "models": anything, "signers": [signer]}
    return revised(config, trust={"public_good": False, **trust}, publishers=[publisher])


def _signer(options: SignerOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """What to trust, and whom to expect. Roots go by the name of their file."""
    given = {name for name, value in vars(options).items() if value is not None}
    identity = {name: getattr(options, name) for name in given & {"identity", "identity_pattern"}}
    authorities = (
        {}
        if options.timestamp_authority is None
        else {str(options.timestamp_authority): options.timestamp_authority}
    )
    if options.public_key is not None:
        if given - {"public_key", "timestamp_authority"}:
            raise UsageError("--public-key says it all: leave out the other options of the signer")
        name = str(options.public_key)
        trust: dict[str, Any] = {"keys": {name: options.public_key}}
        return {**trust, "timestamp_authorities": authorities}, {"method": "key", "key": name}
    if options.certificate_root is not None:
        if given & {"issuer", "trusted_root"}:
            raise UsageError(
                "--issuer and --trusted-root belong to Sigstore, --certificate-root to certificates"
            )
        name = str(options.certificate_root)
        trust = {"certificates": {name: options.certificate_root}}
        signer = {"method": "certificate", "root": name, **(identity or {"any_identity": True})}
        return (
            {**trust, "timestamp_authorities": authorities},
            {**signer, "allow_expired": bool(authorities)},
        )
    if options.timestamp_authority is not None:
        raise UsageError(
            "--timestamp-authority is for signatures by key or certificate; a Sigstore root has "
            "authorities of its own"
        )
    if not identity or options.issuer is None:
        raise UsageError(
            "--identity (or --identity-pattern) and --issuer belong together: an identity is worth "
            "what its issuer is"
        )
    signer = {"method": "sigstore", "issuer": options.issuer, **identity}
    if options.trusted_root is None:
        return {"public_good": True}, signer
    name = str(options.trusted_root)
    return {"sigstore": {name: options.trusted_root}}, {**signer, "root": name}


def _with_policy(config: GateConfig, policy: str | None, options: SignerOptions) -> GateConfig:
    if policy is None:
        return config
    if not policy.startswith(("http://", "https://", "unix://")):
        return revised(config, policy={"rego": policy})
    if options.given:
        raise UsageError(
            "an OPA server decides by its own publishers: leave out --policy, or the options of "
            "the signer (trust roots for it belong into --config)"
        )
    return revised(config, policy={"server": {"url": policy}}, publishers=[])
