"""What every verb of the command line shares: the options all of them take, and how refusals become exit codes.

It decides nothing and opens nothing. A usage error exits 1, never click's 2: 2 means that changes are pending.
"""

import contextlib
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

from connector.cli.call import Call, Format
from connector.errors import ConnectorError
from connector.reconcile.wording import clean

_OPTIONS_TITLE = "Options of every verb"
# Days of grace and notice are added to the day that is decided about: no sum may leave the calendar.
_EARLIEST, _LATEST = date(1900, 1, 1), date(2999, 12, 31)


def to_day(ctx: click.Context, param: click.Parameter, value: str | None) -> date | None:
    """Read a date of the command line (ISO 8601 calendar date)."""
    try:
        return date.fromisoformat(value) if value is not None else None
    except ValueError:
        raise click.BadParameter(f"{clean(str(value))!r} is not a date such as 2026-11-21.", ctx, param) from None


def to_last_day(ctx: click.Context, param: click.Parameter, value: str | None) -> date | None:
    """Read the day until which a word is to hold. One that is over would hold nothing, and look as if it did."""
    day = to_day(ctx, param, value)
    # A day earlier is not over yet in a school west of this machine.
    if day is not None and day < date.today() - timedelta(days=1):  # noqa: DTZ011 - this machine's day, give or take one
        raise click.BadParameter(f"{day} is over already: it would hold nothing.", ctx, param)
    return day


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Keep an option of every verb where it was given: before the verb, after it, or both (the later one wins)."""
    if value is not None and value is not False:
        setattr(ctx.ensure_object(Call), str(param.name), value)
    return value


def _remember_day(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    day = to_day(ctx, param, value)
    if day is not None and not _EARLIEST <= day <= _LATEST:
        raise click.BadParameter(f"Nothing is decided as of {day}: give a day from 1900 to 2999.", ctx, param)
    _remember(ctx, param, day)


def _shared() -> list[click.Parameter]:
    """Make the options that are accepted before and after every verb."""
    texts = {
        "config": "The school's config file [env: CONNECTOR_CONFIG; default: ./config.toml].",
        "format": "How the answer is written.",
        "as_of": "Decide as of this day instead of today.",
        "debug": "Show the traceback of an error nobody foresaw.",
    }
    return [
        click.Option(["--config"], type=click.Path(path_type=Path), metavar="FILE", help=texts["config"], **_KEPT),
        click.Option(["--format"], type=click.Choice([f.value for f in Format]), help=texts["format"], **_KEPT),
        click.Option(["--as-of"], metavar="DATE", help=texts["as_of"], expose_value=False, callback=_remember_day),
        click.Option(["--debug"], is_flag=True, help=texts["debug"], **_KEPT),
    ]


_KEPT: dict[str, Any] = {"expose_value": False, "callback": _remember}


class Verb(click.Command):
    """A verb: takes the shared options too, and returns its exit code."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.own = frozenset(option.name for option in self.params)
        self.params = [*self.params, *(option for option in _shared() if option.name not in self.own)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verb's own options first, then those of every verb."""
        _write_options(self, self.own, ctx, formatter)


def _write_options(
    verb: click.Command, own: Collection[str | None], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    common = {option.name for option in _shared()}.difference(own)
    records = [(p.name in common, r) for p in verb.get_params(ctx) if (r := p.get_help_record(ctx)) is not None]
    for title, shared in (("Options", False), (_OPTIONS_TITLE, True)):
        if mine := [record for is_shared, record in records if is_shared is shared]:
            with formatter.section(title):
                formatter.write_dl(mine)


class Group(click.Group):
    """Verbs about one noun."""

    command_class = Verb
    group_class = type

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List verbs in the order in which they were added."""
        del ctx  # the order does not depend on what was typed
        return list(self.commands)


class VerbGroup(Group):
    """A verb that is one by itself and has others below it."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{"invoke_without_command": True, **settings})
        self.params = [*self.params, *_shared()]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write its own options first, then those of every verb, then the verbs below it."""
        _write_options(self, (), ctx, formatter)
        self.format_commands(ctx, formatter)


class Root(Group):
    """The command line itself. Whatever goes wrong below ends here as a sentence and an exit code."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params = [*self.params, *_shared()]
        self.chapters: dict[str, list[str]] = {}

    def add_chapter(self, title: str, verbs: Sequence[click.Command]) -> None:
        """Add verbs that stand together in the help."""
        for verb in verbs:
            self.add_command(verb)
        self.chapters[title] = [verb.name or "" for verb in verbs]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs chapter by chapter."""
        del ctx  # as above
        for title, names in self.chapters.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=300)) for name in names])

    def main(  # type: ignore[override] # click overloads it by standalone_mode; the return type is the same
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **settings: Any
    ) -> Any:
        """Parse, call one verb, and end with its exit code."""
        words = list(sys.argv[1:] if args is None else args)
        call = settings.pop("obj", None) or Call()
        call.words = tuple(words)
        alone = settings.pop("standalone_mode", True)
        _write_any_character()
        run = super().main

        def typed() -> Any:
            _refuse_unreadable(words)
            return run(words, prog_name or "connector", standalone_mode=False, obj=call, **settings)

        code = _guarded(typed, call)
        if alone:
            sys.exit(code)
        return code


def _guarded(run: Callable[[], Any], call: Call) -> int:
    """Turn every way to fail into a sentence on stderr and an exit code. Nothing is shown as a traceback unasked."""
    try:
        return int(run() or 0)
    except click.ClickException as error:
        error.show()
        return 1
    except click.Abort:
        _complain(
            "Stopped. What was intended by then, if anything, is in the journal.",
            "To finish it: connector resume --apply",
        )
        return 1
    except ConnectorError as error:
        _complain(error.message, error.remedy)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort: an administrator never sees a traceback unasked
        if call.debug:
            # Through the same sieve as every sentence: what an error quotes comes from outside.
            _complain("".join(traceback.format_exception(error)), "")
        what = f"The connector failed in a way nobody foresaw ({type(error).__name__})."
        _complain(what, "Please report it, with what this prints: the same command with --debug")
        return 1
    finally:
        call.end()


def _refuse_unreadable(words: Sequence[str]) -> None:
    """Refuse bytes that are no text here: what is left of a name without them may be somebody else's."""
    for word in words:
        if any("\ud800" <= character <= "\udfff" for character in word):
            raise click.UsageError(f"{clean(word)!r} was typed with characters that are no UTF-8: type it anew.")


def _complain(message: str, remedy: str) -> None:
    for line in (*message.splitlines(), *remedy.splitlines()):
        click.echo(clean(line), err=True)


def _write_any_character() -> None:
    """Write UTF-8 into files and pipes on every system; a terminal that lacks a character shows another one."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            if stream.isatty():
                stream.reconfigure(errors="replace")  # type: ignore[union-attr] # suppressed: a stream that is none
            else:
                stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr] # as above
