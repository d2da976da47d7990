"""`plan`: collects the rooms' commands; exit codes; one-line errors."""

import contextlib
import errno
import inspect
import os
import signal
import sys
import traceback

import typer

import noise.commands
import planner.commands
import profiles.commands
import runtime.commands
import runtime.deploy_commands
import runtime.doctor_commands
from profiles.errors import PlanError
from profiles.installing import BROUGHT_BY, extra
from profiles.terminal import documents_alone

EPILOG = (
    "Exit codes: 0 done, 2 bad input, 3 nothing meets what was asked, 4 a peer or link failed. "
    "--debug anywhere shows the traceback of an error."
)

#: Exit code of a command that was interrupted: 128 + SIGINT.
STOPPED = 130

app = typer.Typer(
    name="plan",
    help="Cut a trained network between an edge device and a cloud, learn noise for what crosses, run both halves.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(f"plan {metadata.version('shredder-plan')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


_PARTS = (
    profiles.commands,
    planner.commands,
    noise.commands,
    runtime.commands,
    runtime.deploy_commands,
    runtime.doctor_commands,
)
for _part in _PARTS:
    _part.register(app)


def _flow(group: typer.Typer) -> None:
    """Each paragraph of a help page as one line, which the page then breaks at the terminal's own width."""
    for one in (*group.registered_commands, group.registered_callback):
        if one is not None and one.callback is not None and one.callback.__doc__:
            paragraphs = inspect.cleandoc(one.callback.__doc__).split("\n\n")
            one.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)
    for below in group.registered_groups:
        if below.typer_instance is not None:
            _flow(below.typer_instance)


_flow(app)


def main() -> None:
    """The `plan` command."""
    arguments = [one for one in sys.argv[1:] if one != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        # Ended by `kill` or a closed terminal as by the keyboard: what was begun is put away.
        for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):  # Windows has no SIGHUP
            signal.signal(signal.Signals[name], signal.default_int_handler)
        with documents_alone() if "--json" in arguments else contextlib.nullcontext():
            code = app(args=arguments, prog_name="plan", standalone_mode=False)
        if code == STOPPED:  # typer has taken the interrupt for itself
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except KeyboardInterrupt:
        _fail("stopped by the user; nothing half-written is left", STOPPED, debug=debug)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody to tell.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except PlanError as error:
        _fail(str(error), error.exit_code, debug=debug)
    except Exception as error:
        _other(error, debug=debug)


def _other(error: Exception, *, debug: bool) -> None:
    message = getattr(error, "format_message", None)
    if callable(message):  # an option or argument that the parser refused
        context = getattr(error, "ctx", None)
        where = getattr(context, "command_path", "plan") if context else "plan"
        # Without a command the parser has shown the help, and its error says nothing.
        said = str(message()).rstrip(".") or "expected a command"
        _fail(f"{said}; see `{where} --help`", 2, debug=debug)
    if type(error).__name__ == "Abort":
        _fail("stopped by the user; nothing half-written is left", STOPPED, debug=debug)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _fail("what was to be printed or written does not fit: no space left on the device", 2, debug=debug)
    if isinstance(error, ModuleNotFoundError):
        _fail(_missing(error), 2, debug=debug)
    reason = " ".join(str(error).split()) or "no message"
    _fail(
        f"unexpected {type(error).__name__}: {reason[:300]}; --debug shows where, please report it",
        1,
        debug=debug,
    )


def _missing(error: ModuleNotFoundError) -> str:
    missing = (error.name or "").partition(".")[0]
    if missing == "torch":
        return f"this command needs PyTorch, which is not installed; {extra('torch')}"
    if missing in BROUGHT_BY:
        return f"module {missing!r} is not installed; {extra(BROUGHT_BY[missing])}"
    return f"module {error.name!r} is not installed, and this tool needs it; see `plan doctor`"


def _fail(message: str, code: int, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"plan: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
