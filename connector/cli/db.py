"""Verbs about the journal's database as a whole: status, migrate, backup, restore, prune, move, start-anew.

None of them decides anything about people. A backup, and nothing else, is read while the daemon works; what replaces or
moves a journal refuses where it would put one over another.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from connector.cli.call import PENDING, Call
from connector.cli.people import asked_reason
from connector.cli.printing import Rows, table, warning
from connector.cli.verb import Group
from connector.config import Config, absolute_sqlite, load
from connector.interfaces import Secret
from connector.journal_key import another_place, audit_key, journal_place, open_journal, pruning_of, start_anew
from connector.operators import who_acts
from connector.reconcile.journal_backup import take_backup
from connector.reconcile.journal_migrate import COMMAND
from connector.reconcile.journal_moving import move as moved
from connector.reconcile.journal_place import Place, PlaceState
from connector.reconcile.journal_restore import Restored, prove, put_back
from connector.reconcile.journal_retention import Gone
from connector.reconcile.pruning import Pruned, WouldGo
from connector.reconcile.wording import counted

KEY_APART = (
    "The audit key is NOT in it. Keep that key too, and apart from the backups: without it no backup can be put back, "
    "and whoever has both can rewrite history."
)

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=Group)
def db() -> None:
    """Look after the journal's own database: back it up, put it back, bring it forward, forget, move."""


# --- looking --------------------------------------------------------------------------------------------------------


@db.command()
@click.pass_obj
def status(call: Call) -> int:
    """Say where the journal is, which revision, how large, what it holds, and when it was backed up last."""
    with journal_place(load(call.config_path)) as place:
        state = place.state()
    columns = ("table", "rows", "oldest", "newest")
    rows = Rows(columns, tuple((h.table, h.rows, h.oldest, h.newest) for h in state.holdings))
    held = tuple(row for row in rows.rows if row[1])
    text = [*_state_words(state), "", table(columns, held, whole=("table",))]
    call.answer(_state_document(state), rows, text)
    return 0 if state.audit is None or state.audit.ok else 1


def _state_words(state: PlaceState) -> Iterator[Any]:
    yield f"The journal is in {state.where} ({_size(state.size)})."
    if state.moved_to:
        yield warning(f"It has moved to {state.moved_to}: set [journal] url to that place.")
    if state.revision == state.wanted:
        yield f"Its tables are at {state.revision}, as this version needs them."
    else:
        yield warning(f"Its tables are at {state.revision}, this version needs {state.wanted}: {COMMAND}")
    if state.audit is not None:
        yield state.audit.sentence if state.audit.ok else warning(state.audit.sentence)
    yield f"Last backup: {state.backed_up}" if state.backed_up else warning("No backup: connector db backup FILE")


def _size(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def _state_document(state: PlaceState) -> dict[str, Any]:
    return {
        "where": state.where,
        "revision": state.revision,
        "wanted": state.wanted,
        "bytes": state.size,
        "audit_ok": state.audit.ok if state.audit else None,
        "head": state.audit.head if state.audit else None,
        "backed_up": state.backed_up or None,
        "moved_to": state.moved_to or None,
        "tables": [
            {
                "table": h.table,
                "rows": h.rows,
                "oldest": h.oldest.isoformat() if h.oldest else None,
                "newest": h.newest.isoformat() if h.newest else None,
            }
            for h in state.holdings
        ],
    }


# --- backup and restore ---------------------------------------------------------------------------------------------


@db.command()
@click.argument("file", type=_FILE)
@click.pass_obj
def backup(call: Call, file: Path) -> int:
    """Write the whole journal into one file, while runs go on. The audit key is not in it: keep that apart.

    The file is of either database and for either. An older backup under that name is replaced, whole or not at all.
    """
    config = load(call.config_path)
    with journal_place(config) as place:
        revision = place.require()
        made = take_backup(place.store, config.school.name, file, who_acts())
        state = place.state().audit
    sound = state is None or state.ok
    call.said(
        f"{file} holds the journal ({counted(sum(made.rows.values()), 'row')}, revision {revision}).",
        f"SHA-256 {made.digest}",
        KEY_APART,
        *(() if state is None or state.ok else (f"ALARM: {state.sentence}",)),
        file=str(file),
        rows=sum(made.rows.values()),
        revision=revision,
        digest=made.digest,
        head=made.header.head,
        audit_ok=sound,
    )
    return 0 if sound else 1


@db.command()
@click.argument("file", type=_FILE)
@click.option("--migrate", is_flag=True, help="Bring a backup of an older version forward as it is put back.")
@click.pass_obj
def restore(call: Call, file: Path, migrate: bool) -> int:
    """Put the journal back from a backup, where there is none. The audit key must be there first.

    The backup is proven whole before anything is written. Afterwards runs only report, whatever the config says, until
    somebody has gone live anew: what was done after the backup is not known.
    """
    config = load(call.config_path)
    made = prove(file, audit_key(config))
    with _empty_place(config, config.journal_url, config.journal.password) as place:
        done = put_back(place.store, file, made, who_acts(), migrate=migrate)
    call.said(*_restored_words(done), **_restored_document(done))
    return 0 if done.state.ok else 1


@contextmanager
def _empty_place(config: Config, url: str, password: Secret | None) -> Iterator[Place]:
    """Go to a place for a journal. An SQLite file that was made for it goes again where nothing comes of it."""
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    made = path if path and not path.exists() else None
    try:
        with another_place(config, url, password, create=True) as place:
            yield place
    except BaseException:
        for end in ("", "-wal", "-shm") if made else ():
            Path(f"{made}{end}").unlink(missing_ok=True)
        raise


def _restored_words(done: Restored) -> Iterator[str]:
    header = done.backup.header
    yield f"The journal of {header.school} is back as it was on {header.made_at:%Y-%m-%d at %H:%M} UTC."
    yield done.state.sentence
    yield "What was said and done since is not in it: blocks, keeps, links, operators, tokens taken back. Say it anew."
    yield "Legs that were closed since are read again, and found closed. Who held a run or a person holds it no more."
    if done.unsent:
        yield f"{counted(done.unsent, 'message')} that waited then will not be sent: they surely were."
    yield "Runs only report, whatever the config says. Look (connector check, connector plan); then connector go-live"


def _restored_document(done: Restored) -> dict[str, Any]:
    header = done.backup.header
    return {
        "made_at": header.made_at.isoformat(),
        "school": header.school,
        "digest": done.backup.digest,
        "head": done.state.head,
        "audit_ok": done.state.ok,
        "unsent": done.unsent,
    }


# --- forward, anew, elsewhere ---------------------------------------------------------------------------------------


@db.command()
@click.pass_obj
def migrate(call: Call) -> None:
    """Bring the tables of an older journal to the form this version needs. Back it up first: connector db backup."""
    with open_journal(load(call.config_path), migrate=True) as opened:
        state = opened.verify_audit()
    call.said("The journal's tables are those this version needs.", state.sentence, ok=state.ok)


@db.command("start-anew")
@asked_reason("Why; it is the new journal's first record.")
@click.pass_obj
def begin_anew(call: Call, reason: str) -> None:
    """Begin a new journal where the key is there and the journal is lost for good, or never was.

    Every block, keep, link and approval of the lost one is forgotten, and nothing that it left open is known: put it
    back from a backup if there is one. Afterwards block anew whom a court order keeps out.
    """
    with start_anew(load(call.config_path), who_acts(), reason) as opened:
        state = opened.verify_audit()
    call.said(
        "A new journal is begun, and that is its first record.",
        "It knows of no block: connector block PERSON --reason TEXT",
        "It decides like a first run, in report mode unless the config says apply: connector plan",
        ok=state.ok,
    )


@db.command()
@click.option("--to", "to", required=True, metavar="URL", help="The new place: sqlite:///FILE or postgresql://….")
@click.option("--password-file", metavar="FILE", help="The file with the password of the new place.")
@click.option("--password-env", metavar="NAME", help="The environment variable with the password of the new place.")
@click.pass_obj
def move(call: Call, to: str, password_file: str | None, password_env: str | None) -> None:
    """Move the journal to another database, from SQLite to PostgreSQL or back. Nothing may be using it.

    The new place must be empty. The old one refuses every write from then on, also of a process that had it open.
    """
    if password_file and password_env:
        raise click.UsageError("--password-file and --password-env exclude each other.")
    config = load(call.config_path)
    password = Secret(env=password_env or "", file=password_file or "") if password_file or password_env else None
    site, url = config.site, absolute_sqlite(to, config.site.folder)
    with journal_place(config) as old, _empty_place(config, url, password) as new:
        site.state_folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        done = moved(old, new, config.school.name, site.state_folder / "journal-moving.backup", who_acts())
        before, after = old.where, new.where
    call.said(
        f"The journal is in {after} now, and all of it. {done.state.sentence}",
        f"Change the config, section [journal]: {_new_settings(to, password)}",
        f"Until then everything refuses: {before} says that it has moved. Keep it until the next backup.",
        moved_to=after,
        moved_from=before,
        head=done.state.head,
    )


def _new_settings(url: str, password: Secret | None) -> str:
    said = f'url = "{url}"'
    if password:
        kind, name = ("env", password.env) if password.env else ("file", password.file)
        said += f' and password = {{ {kind} = "{name}" }}'
    return said


# --- forgetting -----------------------------------------------------------------------------------------------------


@db.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.pass_obj
def prune(call: Call, dry_run: bool) -> int:
    """Forget what is older than the config keeps it, and seal old audit records. The daemon does it after each night.

    What a decision, a restore or a limit needs stays. The section [journal] says how long what is kept.
    """
    config = load(call.config_path)
    with open_journal(config) as opened:
        pruning = pruning_of(config, opened, who_acts())
        if dry_run:
            return _would_go(call, pruning.would_go())
        return _went(call, pruning.prune())


def _went(call: Call, pruned: Pruned) -> int:
    words = [_gone_words(pruned.gone, "went")]
    words += [f"Sealed: {pruned.sealed}"] if pruned.sealed else []
    words += [f"Deleted: {file}" for file in pruned.deleted]
    sealed, deleted = str(pruned.sealed) if pruned.sealed else None, [str(file) for file in pruned.deleted]
    call.said(*words, gone=dict(pruned.gone.counts), sealed=sealed, deleted=deleted)
    return 0


def _would_go(call: Call, would: WouldGo) -> int:
    words = [_gone_words(would.gone, "would go")]
    words += [f"Audit records from before {would.seal_before} would be sealed."] if would.seal_before else []
    words += [f"Would be deleted: {file}" for file in would.deleted]
    before, deleted = would.seal_before, [str(file) for file in would.deleted]
    call.said(*words, gone=dict(would.gone.counts), seal_before=before.isoformat() if before else None, deleted=deleted)
    return PENDING if would.gone.total or before or deleted else 0


def _gone_words(gone: Gone, verb: str) -> str:
    found = ", ".join(f"{count} {name}" for name, count in gone.counts)
    return f"Older than the config keeps it, {verb}: {found or 'nothing'}."


# --- the old name ---------------------------------------------------------------------------------------------------


@click.group(cls=Group, hidden=True)
def journal() -> None:
    """Another name of `connector db`, as it was called before: the same verbs."""


for _name, _verb in db.commands.items():
    journal.add_command(_verb, _name)
