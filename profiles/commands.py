"""plan profile, plan link, plan predictor."""

import typer

from profiles.link_commands import link
from profiles.predictor_commands import predictor_app
from profiles.profile_commands import profile


def register(app: typer.Typer) -> None:
    app.command("profile", rich_help_panel="Describe what is given")(profile)
    app.command("link", rich_help_panel="Describe what is given")(link)
    app.add_typer(predictor_app, name="predictor", rich_help_panel="Describe what is given")
