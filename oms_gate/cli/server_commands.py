"""The commands that serve, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oms_gate.cli.cache_commands import CacheFolder
from oms_gate.cli.options import Config


def serve(
    config: Config = None,
    webhook: Annotated[
        bool,
        typer.Option("--webhook", help="Serve Kubernetes' admission webhooks instead."),
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(
            help="The address to listen at.  [default: 127.0.0.1; 0.0.0.0 over TLS]",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="The port; 0 for a free one.  [default: 8080; 8443 over TLS]", show_default=False
        ),
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(
            help="The port of /healthz, /readyz and /metrics, without TLS.  [default: 8081; 8080 "
            "with --webhook]",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="How many processes serve.  [default: one for each core that may be used]",
            show_default=False,
        ),
    ] = None,
    cache: CacheFolder = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="The certificate, PEM; it is read again when it changes."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    client_ca: Annotated[
        Path | None,
        typer.Option(
            help="Know clients by certificates of this authority, PEM; those without are let in, "
            "and known by their token. With --webhook, they are not: only the API server is "
            "answered."
        ),
    ] = None,
    own_certificate: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET",
            help="With --webhook, instead: make a certificate, and keep it in this Secret of the "
            "gate's namespace.",
        ),
    ] = None,
    service: Annotated[
        str, typer.Option(help="With --own-certificate: the Service that the API server calls.")
    ] = "oms-gate",
    webhook_configuration: Annotated[
        str,
        typer.Option(help="With --own-certificate: the webhook configurations that are to trust."),
    ] = "oms-gate",
) -> None:
    """Stand between a Hub and its clients, in any language: they get admitted models only.

    What clients get was verified; --config says whom to trust. SIGTERM ends the service once what
    is being answered has arrived, SIGHUP lets it look at its configuration.

    With --webhook it guards a cluster instead: no pod starts on a model that was not admitted. It
    guards the cluster that it runs in; outside of one, that of KUBECONFIG.

    Examples:

        oms-gate serve -c gate.yaml

        HF_ENDPOINT=http://localhost:8080 hf download org/name

        oms-gate serve -c gate.yaml --tls-cert tls.crt --tls-key tls.key --workers 4

        oms-gate serve --webhook -c gate.yaml --tls-cert tls.crt --tls-key tls.key

        oms-gate serve --webhook -c gate.yaml --own-certificate oms-gate-tls
    """
    from oms_gate.errors import UsageError

    if not webhook:
        if own_certificate is not None:
            raise UsageError("--own-certificate is for --webhook; give --tls-cert with --tls-key")
        from oms_gate.cli import gateway

        gateway.run(
            config,
            gateway.Listening(host, port, health_port, tls_cert, tls_key, client_ca),
            workers=workers,
            cache=cache,
        )
        return
    if workers is not None:
        raise UsageError("--workers is not for --webhook, which is one process; leave it out")
    from oms_gate.cli.serve import Certificate, run

    certificate = Certificate(
        tls_cert, tls_key, own_certificate, service, webhook_configuration, client_ca
    )
    run(
        config,
        certificate,
        host="0.0.0.0" if host is None else host,  # noqa: S104
        port=8443 if port is None else port,
        health_port=8080 if health_port is None else health_port,
    )
