"""`python -m guarita.web.demo`: runs the demo host until it is stopped."""

from __future__ import annotations

import sys
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import click

from guarita.web.demo.site import Site
from guarita.web.demo.tickets import TicketDesk


@click.command()
@click.option("--bind", default="127.0.0.1:8080", show_default=True, help="Address and port.")
@click.option(
    "--service-url",
    default="http://localhost:8000",
    show_default=True,
    help="Where this site and its visitors reach Guarita.",
)
@click.option("--origin", help="How visitors reach this site.  [default: http:// and --bind]")
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with this site's API key, where the service asks for one.",
)
def main(bind: str, service_url: str, origin: str | None, api_key_file: Path | None) -> None:
    """Acme Books: a site that shows a signed-in frame of Guarita.

    The default names are two sites to a browser (127.0.0.1 and localhost), as in real life.
    """
    address = _parse_bind(bind)
    if origin is None and not ip_address(address[0]).is_loopback:
        raise click.UsageError(
            "--bind beyond this machine needs --origin, e.g. https://shop.example"
        )
    desk = TicketDesk(
        service_url=_parse_origin(service_url, "--service-url"),
        origin=_parse_origin(origin or f"http://{bind}", "--origin"),
        api_key=api_key_file.read_text("utf-8").strip() if api_key_file else None,
    )
    try:
        site = Site(address, desk)
    except OSError as exc:
        click.echo(f"cannot listen on {bind}: {exc.strerror}; choose another --bind", err=True)
        sys.exit(3)
    click.echo(f"Acme Books is at {desk.origin} and shows the service at {desk.service_url}")
    with site:
        try:
            site.serve_forever()
        except KeyboardInterrupt:
            click.echo("stopped")


def _parse_bind(bind: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    try:
        ip_address(host)
        number = int(port)
    except ValueError:
        raise click.BadParameter(f"{bind}: must be ADDRESS:PORT", param_hint="--bind") from None
    if not 1 <= number <= 65535:
        raise click.BadParameter(f"{bind}: {port} is not a port", param_hint="--bind")
    return host, number


def _parse_origin(url: str, option: str) -> str:
    parts = urlsplit(url.removesuffix("/"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
        raise click.BadParameter(f"{url}: must be like https://auth.example", param_hint=option)
    return f"{parts.scheme}://{parts.netloc}"


if __name__ == "__main__":
    main()
