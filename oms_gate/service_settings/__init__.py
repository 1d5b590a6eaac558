"""What ``gate.yaml`` says of services: gateway, decision API, and receivers of events."""

from oms_gate.service_settings.api import ApiClient, ApiSettings, ObjectStore
from oms_gate.service_settings.events import EventSettings
from oms_gate.service_settings.gateway import GatewaySettings, S3Repositories
from oms_gate.service_settings.service import ServiceSettings

__all__ = [
    "ApiClient",
    "ApiSettings",
    "EventSettings",
    "GatewaySettings",
    "ObjectStore",
    "S3Repositories",
    "ServiceSettings",
]
