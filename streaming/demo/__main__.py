"""`python -m streaming.demo`: the demo upstreams in the foreground.

For a process that starts them beside an application: it prints one line, whose last word is the
address, and runs until SIGINT or SIGTERM, which end it at once and with status 0.
"""

import asyncio
import signal

import click

from streaming.demo.server import DemoUpstreams


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
def main(host: str, port: int) -> None:
    """Run the demo's upstreams until interrupted."""
    try:
        asyncio.run(_serve(host, port=port))
    except OSError as exc:
        raise click.ClickException(f"cannot listen on {host}, port {port}: {exc.strerror}") from exc


async def _serve(host: str, *, port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with DemoUpstreams(host=host, port=port) as demo:
        click.echo(f"demo upstreams at {demo.base_url}")
        await stopped.wait()


if __name__ == "__main__":
    main(prog_name="python -m streaming.demo")
