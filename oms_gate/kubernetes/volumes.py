"""The volumes of a pod that the gate fills with models, and who may write to them: nobody else."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from oms_gate.kubernetes.models import MODELS_FOLDER, ModelUse, containers_of, problem
from oms_gate.kubernetes.paths import is_below, normal
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Reason

HUB_VOLUME: Final = "oms-gate-hub"
HUB_FOLDER: Final = "/oms-gate/hub"
"""Where the models are that are used by their names, laid out as the Hub's client does it."""

CONFIG_VOLUME: Final = "oms-gate-config"
"""The volume with the configuration of the gate's init containers."""

_OWN = re.compile(r"oms-gate-(?:hub|config|\d+)")
# What is the pod's own; a claim may have other users, whom the guide warns of.
_FILLABLE = ("emptyDir", "ephemeral", "persistentVolumeClaim")
# What holds no model, unless a container of the pod has put it there.
_HARMLESS = ("configMap", "downwardAPI", "emptyDir", "projected", "secret")
_KUBELET = "/var/lib/kubelet"


@dataclass(frozen=True)
class Filled:
    """A folder that the gate fills.

    mount: of its volume, in the init container.
    folder: where the model is put.
    """

    mount: dict[str, Any]
    folder: str


@dataclass(frozen=True)
class _Location:
    """A folder of a volume; ``""`` is all of it."""

    volume: str
    part: str

    def is_in(self, other: _Location) -> bool:
        return self.volume == other.volume and is_below(f"/{self.part}", f"/{other.part}")


class Volumes:
    """The volumes of a pod."""

    def __init__(self, pod: Mapping[str, Any]) -> None:
        self._pod = pod
        self._others = {
            v["name"]: v for v in pod.get("volumes") or () if not _OWN.fullmatch(v["name"])
        }
        self._own: dict[str, dict[str, Any]] = {}
        self._filled: list[_Location] = []
        self._mounts: dict[tuple[str, str | None], dict[str, Any]] = {}

    def fill(self, use: ModelUse, number: int) -> tuple[Filled, list[Reason]]:
        """The place for a model: in a volume of the user's that is mounted there, or a new one.

        number: of the model, for the name of a new one.
        """
        folder = use.folder or HUB_FOLDER
        covering = [
            (mount, _location(mount, folder))
            for container in containers_of(self._pod)
            if use.containers is None or container.get("name") in use.containers
            if (mount := self._covering(container, folder)) is not None
        ]
        if use.folder is None or not covering:
            name = HUB_VOLUME if use.folder is None else f"oms-gate-{number}"
            mount = {"name": name, "mountPath": folder}
            self._own[name] = {"name": name, "emptyDir": {}}
            self._filled.append(_Location(name, ""))
            self._mounts[use.reference.url, use.folder] = mount
            return Filled(mount, folder), []
        problems = []
        location = covering[0][1]
        if len({found for _, found in covering}) > 1 or any(
            "subPathExpr" in m for m, _ in covering
        ):
            problems.append(
                problem(
                    f"different volumes are mounted at {folder}, where {use.reference.url} is to "
                    "be; mount one",
                    ReasonCode.POD_UNVERIFIED_PATH,
                )
            )
        volume = self._volume(covering[0][0])
        if not any(kind in volume for kind in _FILLABLE):
            problems.append(
                problem(
                    f"the volume '{location.volume}' at {folder} is none that the gate can fill; "
                    "use an emptyDir or a persistentVolumeClaim, or another folder",
                    ReasonCode.POD_UNVERIFIED_PATH,
                )
            )
        self._filled += [_Location(name, location.part) for name in self._aliases(volume)]
        mount = {"name": location.volume, "mountPath": folder}
        if location.part:
            mount["subPath"] = location.part
        return Filled(mount, folder), problems

    def configure(self, config_map: str) -> None:
        """Give the init containers their configuration."""
        volume = {"name": config_map, "defaultMode": 0o644}
        self._own[CONFIG_VOLUME] = {"name": CONFIG_VOLUME, "configMap": volume}

    def mount(self, container: dict[str, Any], use: ModelUse) -> Iterator[Reason]:
        """Let a container see a model, where it does not yet."""
        wanted = self._mounts.get((use.reference.url, use.folder))
        if wanted is None:
            return
        mounts = container.get("volumeMounts") or []
        there = [mount for mount in mounts if _path(mount) == wanted["mountPath"]]
        if not there:
            container["volumeMounts"] = [*mounts, {**wanted, "readOnly": True}]
        for mount in there:
            if _location(mount) != _Location(wanted["name"], "") or "subPathExpr" in mount:
                yield _hidden(container, mount, wanted["mountPath"])

    def protect(self, container: dict[str, Any]) -> Iterator[Reason]:
        """Let a container only read what the gate fills, and see nothing in its place."""
        volumes = {location.volume for location in self._filled}
        mounts = container.get("volumeMounts") or []
        if any(self._is_stale(mount) for mount in mounts):
            mounts = [mount for mount in mounts if not self._is_stale(mount)]
            container["volumeMounts"] = mounts
        for mount in mounts:
            if mount.get("name") in volumes:
                mount["readOnly"] = True
        for device in container.get("volumeDevices") or ():
            if device.get("name") in volumes:
                yield problem(
                    f"container {container.get('name')}: the volume '{device['name']}' is used as "
                    "a device, which bypasses its files; mount it",
                    ReasonCode.POD_CHANGED,
                )
        for place, filled in self._visible(container):
            for mount in mounts:
                if is_below(_path(mount), place) and not _location(mount).is_in(filled):
                    yield _hidden(container, mount, place)

    def hides(self, container: Mapping[str, Any], name: str) -> str | None:
        """Where a volume is mounted that a model's name may lead to instead; None if nowhere.

        name: on the Hub. Libraries look for a folder of that name where they were started.
        """
        for mount in container.get("volumeMounts") or ():
            if _path(mount).endswith(f"/{name}") and not self.holds(container, _path(mount)):
                return _path(mount)
        return None

    def holds(self, container: Mapping[str, Any], path: str) -> bool:
        """Whether a path of a container is in a folder that the gate fills."""
        mount = _topmost(container, path)
        if mount is None or "subPathExpr" in mount:
            return False
        location = _location(mount, normal(path))
        return any(location.is_in(filled) for filled in self._filled)

    def may_hold_others(self, container: Mapping[str, Any], path: str | None = None) -> bool:
        """Whether a path of a container, or any volume of it, may have a model that nobody checked.

        That is not so of what the image has, nor of what the pod itself has put there.
        """
        mounts = container.get("volumeMounts") or ()
        if path is not None and path.startswith("/"):
            topmost = _topmost(container, path)
            mounts = [] if topmost is None else [topmost]
        else:
            path = None  # A relative one may be in any of them.
        return any(
            mount.get("name") not in self._own
            and not any(kind in self._volume(mount) for kind in _HARMLESS)
            and not self.holds(container, path or _path(mount))
            for mount in mounts
        )

    def of_the_kubelet(self) -> Iterator[Reason]:
        """Why a volume of the node's reaches those of all pods."""
        for name, volume in self._others.items():
            path = normal(str((volume.get("hostPath") or {}).get("path") or "."))
            if path.startswith("/") and (is_below(_KUBELET, path) or is_below(path, _KUBELET)):
                yield problem(
                    f"the volume '{name}' is {path} of the node, where the volumes of all pods "
                    "are; a pod that uses models must not have it",
                    ReasonCode.POD_CHANGED,
                )

    def listed(self) -> list[dict[str, Any]]:
        """The volumes that the pod is to have."""
        # In the order in which they are there, as nothing is to change without need.
        there = [
            volume
            for volume in self._pod.get("volumes") or ()
            if not _OWN.fullmatch(volume["name"]) or self._own.get(volume["name"]) == volume
        ]
        return [*there, *(volume for volume in self._own.values() if volume not in there)]

    def _volume(self, mount: Mapping[str, Any]) -> Mapping[str, Any]:
        """The volume of a mount. One that a template does not have is a StatefulSet's claim."""
        name = str(mount.get("name"))
        return self._others.get(name) or {"name": name, "persistentVolumeClaim": {}}

    def _is_stale(self, mount: Mapping[str, Any]) -> bool:
        """Whether it is of a model that the pod had before."""
        name = str(mount.get("name"))
        if name in self._own:
            places = [m["mountPath"] for m in self._mounts.values() if m["name"] == name]
            return is_below(_path(mount), MODELS_FOLDER) and _path(mount) not in places
        return _OWN.fullmatch(name) is not None

    def _covering(self, container: Mapping[str, Any], folder: str) -> Mapping[str, Any] | None:
        mount = _topmost(container, folder)
        return None if mount is None or _OWN.fullmatch(mount.get("name", "")) else mount

    def _visible(self, container: Mapping[str, Any]) -> Iterator[tuple[str, _Location]]:
        """Where a container sees what the gate fills."""
        for mount in container.get("volumeMounts") or ():
            here = _location(mount)
            for filled in self._filled:
                if filled.is_in(here):
                    rest = posixpath.relpath(f"/{filled.part}", f"/{here.part}")
                    yield normal(posixpath.join(_path(mount), rest)), filled
                elif here.is_in(filled):
                    yield _path(mount), filled

    def _aliases(self, volume: Mapping[str, Any]) -> Iterator[str]:
        """The names of all volumes that are, or may be, the same storage."""
        yield volume["name"]
        for name, other in self._others.items():
            if name != volume["name"] and (_is_same(other, volume) or _is_same(volume, other)):
                yield name


def _hidden(container: Mapping[str, Any], mount: Mapping[str, Any], place: str) -> Reason:
    return problem(
        f"container {container.get('name')}: the volume '{mount.get('name')}' at "
        f"{mount.get('mountPath')} would hide what is verified in {place}; mount it elsewhere",
        ReasonCode.POD_CHANGED,
    )


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    claim = (one.get("persistentVolumeClaim") or {}).get("claimName")
    if claim is None:
        return False
    # The claim of an ephemeral volume is called after the pod and the volume.
    theirs = (other.get("persistentVolumeClaim") or {}).get("claimName")
    return theirs == claim or ("ephemeral" in other and claim.endswith(f"-{other['name']}"))


def _topmost(container: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The mount that a path of a container is in."""
    path = normal(path)
    mounts = [m for m in container.get("volumeMounts") or () if is_below(path, _path(m))]
    return max(mounts, key=lambda mount: len(_path(mount)), default=None)


def _location(mount: Mapping[str, Any], path: str | None = None) -> _Location:
    """What of its volume a mount has, or a path in it."""
    rest = "" if path is None else posixpath.relpath(path, _path(mount))
    part = posixpath.normpath(posixpath.join("/", str(mount.get("subPath") or ""), rest))
    return _Location(str(mount.get("name")), part.strip("/"))


def _path(mount: Mapping[str, Any]) -> str:
    return normal(str(mount.get("mountPath") or "/"))
