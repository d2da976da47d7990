"""plan serve, plan run, plan report."""

import typer

from runtime.report_commands import report
from runtime.run_commands import run
from runtime.serve_commands import serve


def register(app: typer.Typer) -> None:
    app.command("serve", rich_help_panel="Run")(serve)
    app.command("run", rich_help_panel="Run")(run)
    app.command("report", rich_help_panel="Run")(report)
