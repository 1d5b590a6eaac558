"""The commands that serve, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oms_gate.cli.options import Config


def serve(
    config: Config = None,
    webhook: Annotated[
        bool,
        typer.Option("--webhook", help="Serve Kubernetes' admission webhooks."),
    ] = False,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "0.0.0.0",  # noqa: S104
    port: Annotated[int, typer.Option(help="The port of the webhooks, over TLS.")] = 8443,
    health_port: Annotated[
        int, typer.Option(help="The port of /healthz, /readyz and /metrics, without TLS.")
    ] = 8080,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="The certificate, PEM; it is read again when it changes."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    own_certificate: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET",
            help="Instead: make a certificate, and keep it in this Secret of the gate's namespace.",
        ),
    ] = None,
    service: Annotated[
        str, typer.Option(help="With --own-certificate: the Service that the API server calls.")
    ] = "oms-gate",
    webhook_configuration: Annotated[
        str,
        typer.Option(help="With --own-certificate: the webhook configurations that are to trust."),
    ] = "oms-gate",
    client_ca: Annotated[
        Path | None,
        typer.Option(
            help="Answer only clients with a certificate by this authority, PEM: the API server, "
            "where it is configured to have one."
        ),
    ] = None,
) -> None:
    """Guard a cluster: no pod starts on a model that was not admitted.

    It guards the cluster that it runs in; outside of one, that of KUBECONFIG.

    Examples:

        oms-gate serve --webhook -c gate.yaml --tls-cert tls.crt --tls-key tls.key

        oms-gate serve --webhook -c gate.yaml --own-certificate oms-gate-tls
    """
    from oms_gate.cli.serve import Certificate, run
    from oms_gate.errors import UsageError

    if not webhook:
        raise UsageError("say what to serve: --webhook")
    certificate = Certificate(
        tls_cert, tls_key, own_certificate, service, webhook_configuration, client_ca
    )
    run(config, certificate, host=host, port=port, health_port=health_port)
