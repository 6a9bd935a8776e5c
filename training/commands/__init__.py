"""Bodies of the training commands; the typer app in ``training.cli`` only parses their arguments."""
