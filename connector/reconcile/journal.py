"""The journal: a write-ahead record of what is intended, done and decided. This is its face; each noun has its file.

An intent is on disk before its effect is tried, so a crash leaves work to finish, never work unknown. Every verb is one
transaction together with its audit records. It never takes the time from the host, only from its database, and never
writes for a run or claim that was lost.
"""

from types import TracebackType
from typing import Self

from sqlalchemy import update

from connector.errors import JournalError
from connector.postgresql import SILENCE_SECONDS
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_audit import KEY_BYTES
from connector.reconcile.journal_authority import Authority
from connector.reconcile.journal_changes import Changes
from connector.reconcile.journal_claims import Claims
from connector.reconcile.journal_codes import Codes
from connector.reconcile.journal_duties import Duties
from connector.reconcile.journal_engine import open_engine
from connector.reconcile.journal_legs import Legs
from connector.reconcile.journal_memory import Recall
from connector.reconcile.journal_migrate import bring_forward
from connector.reconcile.journal_past import Past
from connector.reconcile.journal_people import People
from connector.reconcile.journal_period import Period
from connector.reconcile.journal_plans import Plans
from connector.reconcile.journal_register import Register
from connector.reconcile.journal_runs import Runs
from connector.reconcile.journal_snapshots import Snapshots
from connector.reconcile.journal_sourced import Sourced
from connector.reconcile.journal_store import Store
from connector.reconcile.journal_sweeps import Sweeps
from connector.reconcile.journal_trail import Trail


class Journal:
    """One flat face over the nouns, each of which documents its verbs.

    Every name below is the verb of one class: `begin_run` is `Runs.begin`, `open_legs` is `Legs.open`. `operator` is
    always who acts. All raise JournalError where the database cannot be read or written, and RunInProgress where a run
    or claim was lost.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bind_runs(Runs(store), Snapshots(store), Plans(store))
        self._bind_people(People(store), Register(store))
        self.sourced = Sourced(store).read
        self._bind_effects(Claims(store), Legs(store), Changes(store))
        self._bind_past(Recall(store), Past(store))
        self._bind_trail(Trail(store), Period(store))
        self._bind_sweeps(Sweeps(store))
        self._bind_authority(Authority(store), Codes(store))
        self.duties = Duties(store)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        audit_key: bytes,
        password: str = "",
        create: bool = True,
        migrate: bool = False,
        silence_seconds: int = SILENCE_SECONDS,
    ) -> Self:
        """Open the journal at a sqlite:/// or postgresql:// URL.

        `password` is PostgreSQL's, revealed from its secret; `audit_key` (16 bytes or more) never reaches the database.
        With `create` a new journal is made; with `migrate` an older one is brought forward. A PostgreSQL that is silent
        for `silence_seconds` is given up. Raises JournalError: no journal there, a newer or foreign one, another audit
        key, no way to reach it.
        """
        if len(audit_key) < KEY_BYTES:
            raise JournalError(
                f"The audit key is {len(audit_key)} bytes long; below {KEY_BYTES} it could be guessed.",
                "Make one: python -c 'import secrets; print(secrets.token_hex(32))'",
            )
        store = Store(open_engine(url, password, create=create, silence_seconds=silence_seconds), audit_key)
        try:
            with store.translated("opened"):
                bring_forward(store.engine, audit_key, create=create, migrate=migrate)
        except BaseException:
            store.engine.dispose()
            raise
        return cls(store)

    @property
    def store(self) -> Store:
        """The way into the database, for those who keep tables of their own there."""
        return self._store

    def ready(self) -> None:
        """Prove that a write lands on disk, before anything is tried. Raises JournalError: full, read-only, gone."""
        with self._store.writing() as writing:
            writing.conn.execute(update(tables.audit_head).values(proved_at=writing.now))

    def remark(self, kind: str, subject: str, operator: str, sentence: str) -> None:
        """Write down, as an audit record alone, what somebody did with the journal as a whole. Never a secret."""
        with self._store.writing() as writing:
            writing.note(kind, subject, operator, sentence)

    def begun_anew(self, operator: str, reason: str) -> None:
        """Write down, as its first record, that a named person began this journal in the place of one that is lost."""
        with self._store.writing() as writing:
            sentence = f"This journal was begun anew by {operator}, with the key of an earlier one: {reason}."
            writing.note("begun-anew", "journal", operator, sentence, detail={"reason": reason})

    def disconnect(self) -> None:
        """Let go of connections. What was written stays; leases and claims end by themselves."""
        self._store.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.disconnect()

    def _bind_runs(self, runs: Runs, snapshots: Snapshots, plans: Plans) -> None:
        self.begin_run = runs.begin
        self.renew = runs.renew
        self.end_run = runs.end
        self.runs = runs.recent
        self.keep_snapshot = snapshots.keep
        self.accept_snapshot = snapshots.accept
        self.last_accepted = snapshots.last_accepted
        self.accepted_runs = snapshots.accepted_runs
        self.accepted_counts = snapshots.accepted_counts
        self.prune = snapshots.prune
        self.keep_plan = plans.keep
        self.plan = plans.find
        self.plans = plans.recent
        self.mark_plan = plans.mark
        self.approve = plans.approve
        self.approvals, self.standing_approvals = plans.approvals, plans.standing_approvals

    def _bind_people(self, people: People, register: Register) -> None:
        self.block = people.block
        self.unblock = people.unblock
        self.keep = people.keep
        self.unkeep = people.unkeep
        self.release = people.release
        self.request_revocation = people.request_revocation
        self.link = register.link
        self.link_many = register.link_many
        self.move_link = register.move_link
        self.unlink = register.unlink
        self.remember_users = register.remember_users
        self.add_operator = register.add_operator
        self.operators = register.operators
        self.remove_operator = register.remove_operator
        self.totp_seed = register.totp_seed
        self.spend_code = register.spend_code
        self.setting = register.setting
        self.settings = register.settings
        self.set_setting = register.set_setting

    def _bind_effects(self, claims: Claims, legs: Legs, changes: Changes) -> None:
        self.claim = claims.take
        self.claim_many = claims.take_many
        self.succeed = claims.succeed
        self.extend = claims.extend
        self.extend_many = claims.extend_many
        self.claim_for = claims.take_for
        self.claim_urgently = claims.take_urgently
        self.release_claims = claims.release
        self.require = claims.require
        self.blocked = claims.blocked
        self.now = claims.now
        self.intend = legs.intend
        self.attempt = legs.attempt
        self.record = legs.record
        self.still_open = legs.still_open
        self.open_legs = legs.open
        self.abandon = legs.abandon
        self.intend_changes = changes.intend
        self.attempt_changes = changes.attempt
        self.record_changes = changes.record
        self.open_changes = changes.open

    def _bind_sweeps(self, sweeps: Sweeps) -> None:
        self.lately_ended = sweeps.lately
        self.open_doors = sweeps.open_doors
        self.swept_again = sweeps.swept_again

    def _bind_authority(self, authority: Authority, codes: Codes) -> None:
        self.order_termination = authority.order
        self.order_and_intend = authority.order_and_intend
        self.finish_termination = authority.finish
        self.termination = authority.find
        self.authority_due = authority.due
        self.terminated = authority.terminated
        self.countersign = authority.countersign
        self.refuse_countersignature = authority.refuse
        self.signatures = authority.waiting
        self.give_code = codes.make
        self.print_codes = codes.print_sealed
        self.countersign_with_code = codes.countersign
        self.refuse_tired = codes.refuse_tired
        self.wrong_try = codes.tried
        self.acknowledge_alarms = codes.acknowledge

    def _bind_past(self, recall: Recall, past: Past) -> None:
        self.observe = recall.observe
        self.memory = recall.memory
        self.revocations = past.revocations
        self.who_closed = past.who_closed
        self.history = past.history
        self.events = past.events

    def _bind_trail(self, trail: Trail, period: Period) -> None:
        self.period = period.read
        self.audit_records = trail.records
        self.seal_audit = trail.seal
        self.oldest_audit_record = trail.oldest
        self.checkpoints = trail.checkpoints
        self.verify_audit = trail.verify
        self.verify_sealed = trail.verify_sealed
