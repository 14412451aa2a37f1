"""A journal moved to another database: the old place is retired first, then the new one is filled with all of it.

What fails leaves the old place as it was, unless the new one may stand already. A process that dies on the way leaves a
retired place and an empty one: to move once more to the same place ends it.
"""

from pathlib import Path

from connector.errors import JournalError
from connector.reconcile.journal_backup import lay_backup
from connector.reconcile.journal_migrate import version_of
from connector.reconcile.journal_place import Place
from connector.reconcile.journal_restore import Restored, prove, put_back, refuse_taken


def move(old: Place, new: Place, school: str, file: Path, operator: str) -> Restored:
    """Move by a backup in `file`, which is deleted again.

    Raises RunInProgress where the journal is in use, JournalError where the new place is not empty.
    """
    with new.store.reading() as conn:
        refuse_taken(conn)
    _retire(old, new.where, operator)
    try:
        lay_backup(old.store, school, file)
        return put_back(new.store, file, prove(file, old.store.audit_key), operator, moved=True)
    except BaseException as error:
        if _may_stand(new):
            raise JournalError(
                f"The move was cut short, and the journal may be in {new.where} already: {old.where} stays retired. "
                "Two places must never go on as one journal.",
                "See whether it is there: connector db status, with [journal] url set to it. If not, set it back to "
                f"{old.where} and move once more to the same place.",
            ) from error
        old.take_up()
        raise
    finally:
        file.unlink(missing_ok=True)


def _may_stand(new: Place) -> bool:
    """Say whether the journal stands in the new place, or nobody can say: what was written may outlive its answer."""
    try:
        with new.store.reading() as conn:
            return version_of(conn) is not None
    except JournalError:
        return True


def _retire(old: Place, to: str, operator: str) -> None:
    old.require(moved=True)
    before = old.moved_to()
    if before == to:
        return  # an earlier try was cut short
    if before:
        raise JournalError(
            f"The journal {old.where} has moved to {before} already.", "Set [journal] url to that place."
        )
    old.retire(to, operator)
