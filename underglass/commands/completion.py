"""`underglass completion`: the script that makes a shell complete commands, options and ids."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    r"""Print the completion script of SHELL: commands, options, kinds, ids of sessions and calls.

    \b
    bash  underglass completion bash > ~/.local/share/bash-completion/completions/underglass
    zsh   underglass completion zsh > ~/.zfunc/_underglass
    fish  underglass completion fish > ~/.config/fish/completions/underglass.fish

    Begin a new shell then.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    script = kind(root, {}, "underglass", "_UNDERGLASS_COMPLETE")
    click.echo(script.source_template % script.source_vars())
