"""The cluster that is guarded: what it says of namespaces and policies, and what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes import config
from kubernetes.client import ApiClient, ApiException, CoreV1Api, CustomObjectsApi
from kubernetes.config import ConfigException

from oms_gate.errors import ConfigError, StepError
from oms_gate.reason_codes import ReasonCode
from oms_gate.server.gate_policies import CLUSTER_PLURAL, GROUP, PLURAL, VERSION
from oms_gate.server.mirror import Mirror

_REQUEST_SECONDS = (5, 10)


def connect() -> ApiClient:
    """A client of the cluster that this process is in, or else of the one that kubectl would use.

    Raises:
        ConfigError: there is none.
    """
    try:
        config.load_config()  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise ConfigError(
            f"there is no cluster to guard ({error}); run in a pod with a service account, or set "
            "KUBECONFIG"
        ) from error
    return ApiClient()


class Cluster:
    """A cluster, as far as the gate has to do with it."""

    def __init__(self, client: ApiClient, on_policies: Callable[[], None]) -> None:
        """
        on_policies: called when policies have changed, in a thread of its own.
        """
        self._core = CoreV1Api(client)
        self._objects = CustomObjectsApi(client)

        def policies(plural: str) -> Callable[..., Any]:
            def listed(**options: Any) -> Any:
                return self._objects.list_cluster_custom_object(GROUP, VERSION, plural, **options)

            return listed

        self._namespaces = Mirror(self._core.list_namespace, client)
        self._policies = [
            Mirror(policies(plural), client, on_policies) for plural in (CLUSTER_PLURAL, PLURAL)
        ]

    def start(self) -> None:
        """Follow the cluster from now on."""
        for mirror in (self._namespaces, *self._policies):
            mirror.start()

    def stop(self) -> None:
        """Follow it no more."""
        for mirror in (self._namespaces, *self._policies):
            mirror.stop()

    @property
    def ready(self) -> bool:
        """Whether all that decisions depend on is known."""
        return all(mirror.ready.is_set() for mirror in (self._namespaces, *self._policies))

    @property
    def policies(self) -> list[Mapping[str, Any]]:
        """All GatePolicies and ClusterGatePolicies."""
        return [item for mirror in self._policies for item in mirror.items.values()]

    async def labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace.

        Raises:
            StepError: they cannot be had, so nobody knows what holds there.
        """
        if not self.ready:
            raise StepError(
                ReasonCode.CLUSTER_UNAVAILABLE,
                "the gate has not read the cluster's policies yet; try again in a moment",
            )
        item = self._namespaces.items.get(("", namespace))
        if item is None:
            # It may be new.
            try:
                found = await asyncio.to_thread(
                    self._core.read_namespace, namespace, _request_timeout=_REQUEST_SECONDS
                )
            except Exception as error:
                raise StepError(
                    ReasonCode.CLUSTER_UNAVAILABLE,
                    f"the API server did not tell the gate what the namespace {namespace!r} is; "
                    "try again in a moment",
                ) from error
            return (found.metadata and found.metadata.labels) or {}
        labels: Mapping[str, str] = item["metadata"].get("labels") or {}
        return labels

    def config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        """The data of a ConfigMap.

        Raises:
            ConfigError: it cannot be read.
        """
        try:
            found = self._core.read_namespaced_config_map(
                name, namespace, _request_timeout=_REQUEST_SECONDS
            )
        except ApiException as error:
            raise ConfigError(
                f"the ConfigMap {namespace}/{name} cannot be read: {error.status} {error.reason}"
            ) from error
        except Exception as error:
            raise ConfigError(
                f"the ConfigMap {namespace}/{name} cannot be read: {error}"
            ) from error
        data: Mapping[str, str] = found.data or {}
        return data

    def set_status(self, policy: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Write a policy's status.

        Raises:
            ApiException: it was not taken, as where the policy is gone or has changed.
        """
        metadata = policy["metadata"]
        body = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": dict(status),
        }
        if (namespace := metadata.get("namespace")) is None:
            self._objects.patch_cluster_custom_object_status(
                GROUP,
                VERSION,
                CLUSTER_PLURAL,
                metadata["name"],
                body,
                _request_timeout=_REQUEST_SECONDS,
            )
        else:
            self._objects.patch_namespaced_custom_object_status(
                GROUP,
                VERSION,
                namespace,
                PLURAL,
                metadata["name"],
                body,
                _request_timeout=_REQUEST_SECONDS,
            )

    def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Write an event.

        Raises:
            ApiException: it was not taken.
        """
        self._core.create_namespaced_event(
            namespace,
            event,  # type: ignore[arg-type]
            _request_timeout=_REQUEST_SECONDS,
        )
