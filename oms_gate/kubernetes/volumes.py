"""The volumes of a pod that the gate fills with models, and who may write to them: nobody else."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from oms_gate.kubernetes.models import ModelUse, containers_of, problem
from oms_gate.verdict import Reason, ReasonCode

HUB_VOLUME: Final = "oms-gate-hub"
HUB_FOLDER: Final = "/oms-gate/hub"
"""Where the models are that are used by their names, laid out as the Hub's client does it."""

CONFIG_VOLUME: Final = "oms-gate-config"
"""The volume with the configuration of the gate's init containers."""

_OWN = re.compile(r"oms-gate-(?:hub|config|\d+)")
# What nobody but this pod's own containers can have written to, or what keeps models for long.
_FILLABLE = ("emptyDir", "ephemeral", "persistentVolumeClaim")


@dataclass(frozen=True)
class Filled:
    """A folder that the gate fills.

    mount: of its volume, in the init container.
    folder: where the model is put.
    """

    mount: dict[str, Any]
    folder: str


class Volumes:
    """The volumes of a pod."""

    def __init__(self, pod: Mapping[str, Any]) -> None:
        self._pod = pod
        self._others = [v for v in pod.get("volumes") or () if not _OWN.fullmatch(v["name"])]
        self._own: dict[str, dict[str, Any]] = {}
        # Names of volumes that the gate fills, and the parts of each (their sub-path) that it does.
        self._filled: dict[str, set[str]] = {}
        self._mounts: dict[tuple[str, str | None], dict[str, Any]] = {}

    def fill(self, use: ModelUse, number: int) -> tuple[Filled, list[Reason]]:
        """The place for a model: a volume of the user's that is mounted there, or a new one.

        number: of the model, for the name of a new one.
        """
        if use.folder is None:
            mount = self._new(HUB_VOLUME, HUB_FOLDER)
            self._mounts[use.reference.url, None] = mount
            return Filled(mount, HUB_FOLDER), []
        there = [
            mount
            for container in containers_of(self._pod)
            if use.containers is None or container.get("name") in use.containers
            for mount in container.get("volumeMounts") or ()
            if _path(mount) == use.folder and not _OWN.fullmatch(mount.get("name", ""))
        ]
        if not there:
            mount = self._new(f"oms-gate-{number}", use.folder)
            self._mounts[use.reference.url, use.folder] = mount
            return Filled(mount, use.folder), []
        problems = []
        names = {mount.get("name") for mount in there}
        parts = {_part(mount) for mount in there}
        if len(names) > 1 or len(parts) > 1 or any("subPathExpr" in mount for mount in there):
            problems.append(
                problem(
                    f"different volumes are mounted at {use.folder}, where {use.reference.url} is "
                    "to be; mount one",
                    ReasonCode.POD_UNVERIFIED_PATH,
                )
            )
        name = str(there[0].get("name"))
        volume: dict[str, Any] = next((v for v in self._others if v["name"] == name), {})
        if not any(kind in volume for kind in _FILLABLE):
            problems.append(
                problem(
                    f"the volume '{name}' at {use.folder} can be changed from outside of the pod; "
                    "use an emptyDir or a persistentVolumeClaim",
                    ReasonCode.POD_UNVERIFIED_PATH,
                )
            )
        for alias in self._aliases(volume):
            self._filled.setdefault(alias, set()).add(_part(there[0]))
        mount = {key: there[0][key] for key in ("name", "mountPath", "subPath") if key in there[0]}
        self._mounts[use.reference.url, use.folder] = mount
        return Filled(mount, use.folder), problems

    def configure(self, config_map: str) -> None:
        """Give the init containers their configuration."""
        volume = {"name": config_map, "defaultMode": 0o644}
        self._own[CONFIG_VOLUME] = {"name": CONFIG_VOLUME, "configMap": volume}

    def protect(self, container: dict[str, Any]) -> Iterator[Reason]:
        """Let a container only read what the gate fills."""
        for mount in container.get("volumeMounts") or ():
            if mount.get("name") in self._filled:
                mount["readOnly"] = True
        for device in container.get("volumeDevices") or ():
            if device.get("name") in self._filled:
                yield problem(
                    f"container {container.get('name')}: the volume '{device['name']}' is used as "
                    "a device, which bypasses its files; mount it",
                    ReasonCode.POD_CHANGED,
                )

    def mount(self, container: dict[str, Any], use: ModelUse) -> Iterator[Reason]:
        """Let a container see a model, and nothing else in its place."""
        wanted = self._mounts[use.reference.url, use.folder]
        folder = _path(wanted)
        mounts = container.get("volumeMounts") or []
        is_own = wanted["name"] in self._own
        if is_own and not any(_path(mount) == folder for mount in mounts):
            mounts = container["volumeMounts"] = [*mounts, {**wanted, "readOnly": True}]
        for mount in mounts:
            if is_own and _path(mount) == folder:
                hides = mount["name"] != wanted["name"] or bool(mount.get("subPath"))
            else:
                hides = _path(mount).startswith(f"{folder}/") and mount["name"] not in self._filled
            if hides:
                yield _hidden(container, mount, folder)

    def holds(self, container: Mapping[str, Any], path: str) -> bool:
        """Whether a path of a container is in a folder that the gate fills."""
        path = normal(path)
        mounts = {_path(mount): mount for mount in container.get("volumeMounts") or ()}
        above = [place for place in mounts if path == place or path.startswith(f"{place}/")]
        if not above:
            return False
        mount = mounts[max(above, key=len)]
        return _part(mount) in self._filled.get(str(mount.get("name")), ())

    def listed(self) -> list[dict[str, Any]]:
        """The volumes that the pod is to have."""
        # In the order in which they are there, as nothing is to change without need.
        there = [
            volume
            for volume in self._pod.get("volumes") or ()
            if not _OWN.fullmatch(volume["name"]) or self._own.get(volume["name"]) == volume
        ]
        return [*there, *(volume for volume in self._own.values() if volume not in there)]

    def _new(self, name: str, folder: str) -> dict[str, Any]:
        self._own[name] = {"name": name, "emptyDir": {}}
        self._filled[name] = {""}
        return {"name": name, "mountPath": folder}

    def _aliases(self, volume: Mapping[str, Any]) -> Iterator[str]:
        """The names of all volumes that are the same storage."""
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        for other in self._others:
            theirs = (other.get("persistentVolumeClaim") or {}).get("claimName")
            if other["name"] == volume.get("name") or (claim is not None and theirs == claim):
                yield other["name"]


def normal(path: str) -> str:
    """An absolute path without what has no meaning in it."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _path(mount: Mapping[str, Any]) -> str:
    return normal(str(mount.get("mountPath") or "/"))


def _part(mount: Mapping[str, Any]) -> str:
    return str(mount.get("subPath") or "").strip("/")


def _hidden(container: Mapping[str, Any], mount: Mapping[str, Any], folder: str) -> Reason:
    return problem(
        f"container {container.get('name')}: the volume '{mount.get('name')}' at "
        f"{mount.get('mountPath')} would hide what was verified in {folder}; mount it elsewhere",
        ReasonCode.POD_CHANGED,
    )
