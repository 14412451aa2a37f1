"""Verbs that set things up: init, demo, operator. Nothing that is there is ever overwritten."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from connector import demo as sample
from connector.app import Connector
from connector.cli.call import Call, is_interactive
from connector.cli.people import first_line, proof
from connector.cli.printing import Rows, table
from connector.cli.verb import Group, Verb
from connector.config import Config, load
from connector.errors import ConfigError, NotAllowed
from connector.first_files import lay_out_headers, lay_out_sample, sample_answers, sample_school
from connector.init_config import CHOICES, QUESTIONS, starter
from connector.operators import totp_uri


def _answers(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Take one option for each question of `init`."""
    for question in reversed(QUESTIONS):
        text = f"{question.text}, such as {question.example}."
        verb = click.option(_option(question.key), question.key, metavar="TEXT", help=text)(verb)
    for choice in reversed(CHOICES):
        kinds = click.Choice(list(choice.options))
        verb = click.option(_option(choice.key), choice.key, type=kinds, help=choice.text)(verb)
    return verb


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")


@click.command(cls=Verb)
@_answers
@click.option("--with-sample", is_flag=True, help="Put the sample school's exports beside it, for a first report.")
@click.pass_obj
def init(call: Call, /, with_sample: bool, **given: str | None) -> None:
    """Write a commented config to begin with. At a terminal it asks; elsewhere it takes what the options say.

    It goes where --config says (default: ./config.toml) and never overwrites a file. Passwords are never written into
    it: the config names where they are. Where the admin system is a folder of CSV files that is not there yet, it is
    made, with the columns that are read.
    """
    path = call.config_path
    if path.exists():
        raise ConfigError(
            f"{path} is there already and was left as it is.", "Give another place: connector --config FILE init"
        )
    answers = {key: value for key, value in given.items() if value is not None}
    if with_sample:
        answers = sample_answers(answers)
    if is_interactive():
        answers = _ask(answers)
    text = starter(answers)
    _write_new(path, text)
    config = load(path)
    call.said(
        f"{path} is written. Read it once: every rule has its comment.",
        *config.warnings,
        *_first_files(config, with_sample),
        f"Then see whether everything answers: connector --config {path} check",
        f"Then decide once: connector --config {path} run --apply (in report mode, as it begins, nothing is closed)",
        f"And read why: connector --config {path} report",
        config=str(path),
    )


def _first_files(config: Config, with_sample: bool) -> tuple[str, ...]:
    """Lay out what is to be read first, where that is files; say what was."""
    if with_sample:
        laid = lay_out_sample(config.site.folder)
        said = "The sample school's exports are beside it; it is a school as of 2026-11-21: add --as-of 2026-11-21"
        return (f"{said}.",) if laid else ()
    if config.admin_system.adapter != "csv":
        return ()
    folder = str(config.admin_system.settings["folder"])
    if Path(folder).is_absolute() or not lay_out_headers(config.site.folder, folder):
        return ()
    return (f"Put your admin system's exports into {folder}: each file there has the columns that are read.",)


def _ask(given: Mapping[str, str]) -> dict[str, str]:
    """Ask for what was not given, with the template's words as what Enter means."""
    answers = dict(given)
    for choice in CHOICES:
        if choice.key not in answers:
            options = click.Choice(list(choice.options))
            answers[choice.key] = click.prompt(choice.text, type=options, default=next(iter(choice.options)), err=True)
    for question in QUESTIONS:
        asked = not question.of or answers.get(question.choice) in question.of
        if asked and question.key not in answers:
            answers[question.key] = click.prompt(question.text, default=question.example, err=True)
    return answers


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL follows no link; the config names servers and accounts, which is nothing for everybody.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.", "Check the folder and its owner.") from error


@click.command(cls=Verb)
@click.option(
    "--school", type=click.Path(path_type=Path), metavar="DIR", help="Where exports are [default: the sample school]."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The new folder to build.")
@click.pass_obj
def demo(call: Call, school: Path | None, out: Path) -> None:
    """Build a ready-to-run folder from exported files: config, portal and session databases, an LDIF directory.

    Nothing in it reaches a real system: try the connector on your own export before you let it near a server.
    """
    config = sample.build(school or sample_school(), out)
    call.said(
        f"{out} is ready: everything the connector needs is in it, and nothing leaves it.",
        f"Look first: connector --config {config} status        Then: connector --config {config} plan",
        config=str(config),
    )


# --- operators ------------------------------------------------------------------------------------------------------


@click.group(cls=Group)
def operator() -> None:
    """Enrol the people who second what takes four eyes: unblock, and restoring a restricted person."""


def _seconded(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Take who agrees to a change of operators, and their proof."""
    second = click.option("--second", metavar="NAME", help="The enrolled operator who agrees: somebody else.")
    secret = click.option(
        "--second-password-file", type=click.Path(path_type=Path), metavar="FILE", help="Password of who agrees."
    )
    code = click.option("--code", metavar="DIGITS", help="One-time code of who agrees, instead of a prompt.")
    return second(secret(code(verb)))


def _agreed(
    connector: Connector, what: str, *, second: str | None, second_password_file: Path | None, code: str | None
) -> None:
    if second is None:
        raise NotAllowed(
            "It takes two to change who the operators are.", "Name an enrolled one who is here: --second NAME"
        )
    connector.second(second, *proof(second, second_password_file, code), what)


@operator.command("add")
@click.argument("name")
@click.option("--role", default="operator", show_default=True, help="What they are at the school.")
@click.option(
    "--password-file", type=click.Path(path_type=Path), metavar="FILE", help="Their password, instead of a prompt."
)
@_seconded
@click.pass_obj
def operator_add(call: Call, /, name: str, role: str, password_file: Path | None, **agreed: Any) -> None:
    """Enrol an operator: they type a password and scan a secret into an authenticator app. It is shown only once.

    As soon as somebody other than you is enrolled, one of those enrolled has to agree: --second NAME.
    """
    with call.connector() as connector:
        if connector.takes_two_to_enrol():
            _agreed(connector, f"enrol {name}", **agreed)
        if password_file:
            password = first_line(password_file)
        else:
            password = click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True)
        seed = connector.add_operator(name, role, password)
    address = totp_uri(name, seed)
    call.said(
        f"{name} ({role}) is enrolled. For the authenticator app, shown only now:",
        f"  secret   {seed}",
        f"  address  {address}",
        name=name,
        role=role,
        secret=seed,
        address=address,
    )


@operator.command("list")
@click.pass_obj
def operator_list(call: Call) -> None:
    """List who is enrolled, by whom and since when; never a secret."""
    with call.connector() as connector:
        found = connector.journal.operators()
    columns = ("name", "role", "added_by", "added_at")
    rows = tuple((o.name, o.role, o.added_by, o.added_at) for o in found)
    document = [dict(zip(columns, row, strict=True)) for row in rows]
    text = (
        [table(columns, rows, whole=("name",))]
        if rows
        else ["Nobody is enrolled. To begin: connector operator add NAME"]
    )
    call.answer(document, Rows(columns, rows), text)


@operator.command("remove")
@click.argument("name")
@_seconded
@click.pass_obj
def operator_remove(call: Call, /, name: str, **agreed: Any) -> None:
    """Remove an operator and forget their secrets; what they have seconded stays in the journal.

    Where somebody else is enrolled too, one of those enrolled has to agree: --second NAME.
    """
    with call.connector() as connector:
        if connector.takes_two_to_enrol(leaving=name):
            _agreed(connector, f"remove {name}", **agreed)
        connector.journal.remove_operator(name, connector.operator)
    call.said(f"{name} is no longer enrolled.", name=name)
