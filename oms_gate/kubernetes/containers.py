"""The containers of a pod: those that fetch models, and those that read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from oms_gate.kubernetes.models import ModelUse
from oms_gate.kubernetes.paths import is_below, normal
from oms_gate.kubernetes.pins import Pin
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.kubernetes.volumes import CONFIG_VOLUME, HUB_FOLDER, Filled

_KEPT_IN_SECRETS: Final = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)

CREDENTIALS: Final = (
    *_KEPT_IN_SECRETS,
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
"""The variables that give access to a store, and do nothing else."""

_CONFIG_FOLDER: Final = "/etc/oms-gate"
_TOKENS = "/run/secrets"
_OFFLINE = {"HF_HUB_OFFLINE": "1"}
_HUB = {"HF_HUB_CACHE": HUB_FOLDER, "HUGGINGFACE_HUB_CACHE": HUB_FOLDER}
# They would have precedence over those above.
_OVERRULING = ("PYTORCH_TRANSFORMERS_CACHE", "TRANSFORMERS_CACHE", "TRANSFORMERS_OFFLINE")
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
# What the API server, or another webhook, may have added: it has no influence on the proof.
_ADDED = ("imagePullPolicy", "resources", "terminationMessagePolicy")
_MESSAGE_PATH = "/dev/termination-log"
_USER = 65532


def fetching(
    name: str,
    use: ModelUse,
    pin: Pin,
    filled: Filled,
    readers: Sequence[Mapping[str, Any]],
    pod: Mapping[str, Any],
    settings: KubernetesSettings,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The init container that fetches a model and proves its bytes.

    readers: the containers that read it, whose credentials it uses.
    before: a container of this name that was there: what the API server and others have added to
        it stays, as far as it has no influence on the proof.
    """
    before = before or {}
    security = dict(_SECURITY)
    if (pod.get("securityContext") or {}).get("runAsUser") == 0:
        security["runAsUser"] = _USER
    layout = []
    if use.folder is None:
        layout = ["--hub-cache", "--ref", use.reference.revision or "main"]
    args = ["pull", pin.pinned.url, filled.folder, *layout, "--pinned-signature", pin.signature]
    mounts = [filled.mount]
    environment = dict(settings.environment)
    if settings.config_map is not None:
        environment["OMS_GATE_CONFIG"] = f"{_CONFIG_FOLDER}/gate.yaml"
        mounts.append({"name": CONFIG_VOLUME, "mountPath": _CONFIG_FOLDER, "readOnly": True})
    made = {
        "name": name,
        "image": settings.image,
        # "$(X)" would be a variable's value.
        "args": [word.replace("$", "$$") for word in args],
        "env": _environment(environment, readers, before),
        "resources": dict(settings.resources),
        "volumeMounts": [*mounts, *_tokens(before, mounts)],
        "securityContext": {**(before.get("securityContext") or {}), **security},
        **{key: before[key] for key in _ADDED if key in before},
    }
    if before.get("terminationMessagePath") == _MESSAGE_PATH:
        made["terminationMessagePath"] = _MESSAGE_PATH
    return {key: value for key, value in made.items() if value not in ([], None)}


def _environment(
    given: Mapping[str, str],
    readers: Sequence[Mapping[str, Any]],
    before: Mapping[str, Any],
) -> list[dict[str, Any]]:
    wanted = {name: {"name": name, "value": value} for name, value in given.items()}
    for container in (*readers, before):
        for entry in container.get("env") or ():
            if entry.get("name") in CREDENTIALS:
                wanted.setdefault(entry["name"], dict(entry))
    for container in readers:
        for entry in _from_sources(container):
            wanted.setdefault(entry["name"], entry)
    # In the order in which they are there, as nothing is to change without need.
    there = [entry for entry in before.get("env") or () if wanted.get(entry.get("name")) == entry]
    kept = {entry["name"]: entry for entry in there}
    return [*kept.values(), *(entry for name, entry in wanted.items() if name not in kept)]


def _from_sources(container: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The credentials of the Secrets and ConfigMaps that a container has all variables of.

    Which they have is not known here, so each is optional; and nothing else of them is taken.
    """
    # The last one that has a variable counts.
    for source in reversed(container.get("envFrom") or ()):
        prefix = source.get("prefix") or ""
        for kind, key in (("secretRef", "secretKeyRef"), ("configMapRef", "configMapKeyRef")):
            if (name := (source.get(kind) or {}).get("name")) is None:
                continue
            for variable in _KEPT_IN_SECRETS:
                if variable.startswith(prefix):
                    value = {"name": name, "key": variable.removeprefix(prefix), "optional": True}
                    yield {"name": variable, "valueFrom": {key: value}}


def _tokens(before: Mapping[str, Any], mounts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the API server and clouds mount to tell who the pod is."""
    taken = {mount["name"] for mount in mounts}
    return [
        mount
        for mount in before.get("volumeMounts") or ()
        if is_below(normal(str(mount.get("mountPath"))), _TOKENS) and mount.get("name") not in taken
    ]


def reading(container: dict[str, Any], *, hub: bool) -> None:
    """Let a container use what was fetched, and fetch nothing itself.

    hub: whether it uses models by their names.
    """
    wanted = {**_OFFLINE, **(_HUB if hub else {})}
    entries: list[dict[str, Any]] = []
    done: set[str] = set()
    for entry in container.get("env") or ():
        name = entry.get("name")
        if name in wanted:
            # In its place: who applies the same again must not find it changed.
            entries += [] if name in done else [{"name": name, "value": wanted[name]}]
            done.add(name)
        elif name not in _OVERRULING:
            entries.append(entry)
    entries += [{"name": name, "value": wanted[name]} for name in wanted if name not in done]
    container["env"] = entries
