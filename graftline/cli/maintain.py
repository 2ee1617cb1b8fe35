"""Commands that look after this machine: `graftline doctor`, `weights`, `clean` and `completion`."""

import os

import click

from graftline.base import console
from graftline.cli.options import about, settings_of
from graftline.cli.quiet import import_tensorflow
from graftline.settings.settings import Settings


@click.command()
@click.option("-d", "--data", help="Data whose settings, files, disk and metadata to check; see `graftline run`.")
def doctor(data: str | None) -> int:
    """Check this machine and print how to fix what is wrong."""
    from graftline.doctor.__main__ import main
    from graftline.settings import chosen
    from graftline.settings.load import CONFIG_VARIABLE

    os.environ[CONFIG_VARIABLE] = chosen.choose(data, of_last_run=True).config
    return main()


@click.command()
@about()
def weights(settings: Settings) -> None:
    """Fetch the pretrained weights of a configuration's backbone."""
    import_tensorflow()
    from graftline.network.weights import resolve

    model = settings.model
    found = resolve(model.backbone, model.image_size, model.weights)
    told = f"{found.source}, sha256 {found.sha256[:8]}, {found.path}" if found else "none, random"
    console.line(f"{model.backbone} at {model.image_size}: weights {told}")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("-d", "--data", help="Data whose `run.root` to clean; see `graftline run`.")
def clean(yes: bool, data: str | None) -> None:
    """Remove all runs: artifacts, metadata, features and inferred schemas. Datasets, weights and pushed models stay."""
    from graftline.runs import cleaning

    root = settings_of(data, (), of_last_run=True, data_is_here=False).run.root
    folders = cleaning.folders(root)
    if not folders:
        console.line(f"There are no runs in {root}.")
        return
    size = console.gigabytes(cleaning.size(root))
    if not yes:
        click.confirm(f"Remove {', '.join(map(str, folders))} ({size})?", abort=True)
    cleaning.clean(root)
    console.line(f"Removed {size} from {root}.")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands in a shell, as in `eval "$(graftline completion bash)"`."""
    from click.shell_completion import get_completion_class

    from graftline.cli.main import graftline

    kind = get_completion_class(shell)
    assert kind, shell
    click.echo(kind(graftline, {}, "graftline", "_GRAFTLINE_COMPLETE").source())
