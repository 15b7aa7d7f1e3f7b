"""The neuroglancer part of `visualize`: a link to published crops, or a server for volumes on this disk."""

from __future__ import annotations

import argparse
import getpass
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.neuroglancer import ViewLayer
    from cellmap_tui.services.volume_server import VolumeServer


def add_link_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("neuroglancer")
    group.add_argument("--neuroglancer", action="store_true", help="print a link in place of a picture")
    group.add_argument("--serve", action="store_true", help="serve volumes on this disk until ctrl+c")
    group.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS", help="(default: 127.0.0.1, this machine)")
    group.add_argument("--port", type=int, default=0, metavar="PORT", help="(default: one that is free)")
    group.add_argument("--browser", action=argparse.BooleanOptionalAction, default=False, help="open the link here")
    group.add_argument("--viewer", metavar="URL", help="another neuroglancer than the public one")


def run_link(
    args: argparse.Namespace, context: Context, catalog: Catalog, crops: Sequence[Crop], kinds: Sequence[str]
) -> int:
    """Print the link; serve the volumes where that was asked for."""
    if len(crops) != 1:
        raise RequestError(f"{len(crops)} crops in one view", "name one crop")
    if args.serve:
        return _serve(args, context, catalog, crops[0], kinds)
    from cellmap_tui.cli.commands.visualize import classes_of
    from cellmap_tui.services.neuroglancer import bucket_url, public_layers
    from cellmap_tui.services.settings import BUCKET

    settings, names = context.settings, [catalog.class_name(n) for n in classes_of(args)]
    is_own_bucket = bool(settings.endpoint_url) or settings.bucket != BUCKET
    layers = public_layers(crops[0], names, catalog.classes, is_own_bucket=is_own_bucket)
    if set(kinds) - {"gt"} and not context.quiet:
        diagnostics.note("predictions are not in the bucket: --serve shows them from this disk")
    base = bucket_url(settings.bucket, settings.endpoint_url)
    _tell(args, context, catalog, crops[0], layers, {layer.name: f"{base}/{layer.place}" for layer in layers})
    return diagnostics.DONE


def _tell(
    args: argparse.Namespace,
    context: Context,
    catalog: Catalog,
    crop: Crop,
    layers: Sequence[ViewLayer],
    urls: dict[str, str],
    server: VolumeServer | None = None,
) -> None:
    from cellmap_tui.cli.commands.visualize import voxel_of
    from cellmap_tui.services.neuroglancer import VIEWER, viewer_link, viewer_state

    state = viewer_state(crop, layers, lambda layer: urls[layer.name], voxel_of(crop, args, context, catalog))
    link = viewer_link(state, args.viewer or VIEWER)
    tunnel = None if server is None else tunnel_command(server.port)
    if context.json:
        told = {"link": link, "state": state, "crop": crop.id, "dataset": crop.dataset}
        output.write_json({**told, **({"port": server.port, "tunnel": tunnel} if server is not None else {})})
    else:
        output.write(link)
    output.flush()
    if tunnel is not None and not context.quiet:
        diagnostics.note(f"serving {len(layers)} volumes; ctrl+c ends it. From another machine, first:")
        diagnostics.note(f"  {tunnel}")
    if args.browser:
        import webbrowser

        webbrowser.open(link)


def _serve(args: argparse.Namespace, context: Context, catalog: Catalog, crop: Crop, kinds: Sequence[str]) -> int:
    from cellmap_tui.cli.commands.visualize import classes_of
    from cellmap_tui.services.neuroglancer import local_layers
    from cellmap_tui.services.predicted_folder import default_places
    from cellmap_tui.services.volume_server import ALL_ADDRESSES, LOCAL, VolumeServer

    root = context.settings.data_root
    named = {"predictions": args.predictions, "processed": args.processed}
    places = {**default_places(root), **{kind: place for kind, place in named.items() if place}}
    classes = [catalog.class_name(name) for name in classes_of(args)]
    layers = local_layers(crop, root, kinds, classes, places, catalog.classes)
    if args.bind != LOCAL and not context.quiet:
        diagnostics.warning(f"{args.bind}: who reaches this address and has the link can read these volumes")
    with VolumeServer({layer.name: Path(layer.place) for layer in layers}, bind=args.bind, port=args.port) as server:
        host = socket.gethostname() if args.bind in ALL_ADDRESSES else args.bind
        urls = {layer.name: server.url_of(layer.name, host) for layer in layers}
        _tell(args, context, catalog, crop, layers, urls, server)
        _until_stopped(server)
    return diagnostics.DONE


def _until_stopped(server: VolumeServer) -> None:
    """Serve until ctrl+c or a termination: both are how a server ends."""
    import signal

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        diagnostics.note("the server has ended")
    finally:
        signal.signal(signal.SIGTERM, before)


def tunnel_command(port: int) -> str:
    """Return the command that makes a port of this machine one of the user's own."""
    return f"ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{socket.gethostname()}"
