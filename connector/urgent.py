"""Urgent termination, for every front end: order it, countersign it, certify it, and give the codes for it.

What is ours closes on the requester's word. Whoever signs is enrolled with an authority role, proves it, and is never
who ordered it. It decides nothing itself: `orders` says who is meant, `terminating` closes.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from connector.config import Authority
from connector.errors import NotAllowed, RunInProgress, SourceError, TargetUnreachable
from connector.model import Finding, LegKind, Level
from connector.operators import Proof, is_same_person, prove
from connector.reconcile.authority import (
    Alarm,
    Asked,
    Due,
    Signature,
    StoredTermination,
    due_sentence,
    has_authority,
    keys_of,
    signing,
)
from connector.reconcile.certificate import Certificate, certificate
from connector.reconcile.journal_values import OpenLeg
from connector.reconcile.judge import Judgement
from connector.reconcile.memory import Block
from connector.reconcile.orders import Meant, as_ordered, meant, rows_of, rows_with_what_stays
from connector.reconcile.plan_values import Revocation
from connector.reconcile.reading import Progress, ReadBefore, read_doors_again, take_snapshot
from connector.reconcile.report import ReportLine
from connector.reconcile.resume import Resumption, addresses, decide_again, read_again
from connector.reconcile.running import Running
from connector.reconcile.terminating import Ordering, Termination, terminate


@dataclass(frozen=True, slots=True)
class Order:
    """What an urgent termination would do: whom it means, and a row for each record of which something lives.

    `note` says what it could not be based on.
    """

    human: Meant
    rows: tuple[Revocation, ...]
    blocks: tuple[Block, ...]
    reason: str
    contact_type: str
    commanded_at: datetime
    judgement: Judgement
    ordered: Judgement
    note: str = ""

    def asked_by(self, operator: str) -> Asked:
        """Give what is written down of it."""
        return Asked(operator, self.reason, self.contact_type, self.commanded_at, self.human.records)

    def row_of(self, key: str) -> Revocation | None:
        """Give the row of one record; none where nothing of it lives."""
        return next((row for row in self.rows if row.key == key), None)


@dataclass(frozen=True, slots=True)
class Urgent:
    """The verbs around urgent termination, for one operator."""

    running: Running
    authority: Authority
    school: str
    zone: ZoneInfo

    # --- ordering ---------------------------------------------------------------------------------------------------

    def order(self, as_of: date, words: str, reason: str, contact_type: str = "") -> Order:
        """Say whom these words mean and what would be closed. Raises UnknownPerson, NotAllowed.

        The command counts from here: what reading takes is part of the seconds that are certified.
        """
        running, setup = self.running, self.running.setup
        commanded_at = running.journal.now()
        judgement, note = self._looked(as_of)
        human = meant(judgement.decisions, words, contact_type)
        blocks = {i.person_id: Block(i.person_id, running.operator, reason) for i in human.identities if i.person_id}
        ordered = as_ordered(judgement, setup.rules, setup.portals, setup.limits, blocks)
        rows = rows_with_what_stays(ordered, human)
        blocked = tuple(blocks.values())
        return Order(human, rows, blocked, reason, contact_type, commanded_at, judgement, ordered, note)

    def _looked(self, as_of: date) -> tuple[Judgement, str]:
        """Read and decide; where the admin system cannot be read, by its people as they were accepted last.

        Gives what is to be said about that. A court order does not wait for a server: whoever is closed is named by a
        person, and doors and sessions are read now all the same.
        """
        running = self.running
        try:
            return running.look(as_of), ""
        except (SourceError, TargetUnreachable) as error:
            accepted = running.accepting.baseline()
            if accepted is None:
                raise
            targets = replace(running.targets, admin_system=ReadBefore(accepted.people))
            judgement = running.look(as_of, take_snapshot(targets, running.progress))
            return judgement, f"{error} Who this is was taken from the newest accepted run, {accepted.as_of}."

    def terminate(self, order: Order) -> tuple[StoredTermination, Termination]:
        """Carry an order out now. It is written down first, with the countersignature it owes."""
        running, journal = self.running, self.running.journal
        journal.ready()
        hours = timedelta(hours=self.authority.countersign_hours)
        ordering = Ordering(order.asked_by(running.operator), hours, order.blocks, order.judgement.snapshot)
        done = terminate(
            journal, running.targets, running.setup.pace, ordering, order.rows,
            running.progress, running.reached, running.sleep, lambda progress: self._again(order, progress),
            lambda legs: _decided_again(legs, order),
        )  # fmt: skip
        journal.finish_termination(done.number, done.last_session_at)
        return journal.termination(done.number), done

    def _again(self, order: Order, progress: Progress) -> tuple[Revocation, ...]:
        """Read every door again; give the rows of what lives of these records and is not being closed yet."""
        running, setup = self.running, self.running.setup
        snapshot = read_doors_again(running.targets, order.judgement.snapshot, progress)
        judgement = replace(order.judgement, snapshot=snapshot)
        blocks = {block.person_id: block for block in order.blocks}
        open_legs = addresses(running.journal.open_legs(), snapshot)
        ordered = as_ordered(judgement, setup.rules, setup.portals, setup.limits, blocks, open_legs)
        return rows_of(ordered, order.human)

    def certificate(self, number: int) -> Certificate:
        """Give the certificate as it stands now; why is told to the authority role only. Raises UnknownPerson."""
        journal = self.running.journal
        stored = journal.termination(number)
        revocations = {r.revocation_id: r for key in keys_of(stored.records) for r in journal.revocations(key)}
        newest_first = [revocations[n] for n in sorted(revocations, reverse=True)]
        head, now = journal.verify_audit().head, journal.now()
        discreet = not self.is_authority
        return certificate(stored, newest_first, self.school, now, head, self.zone, discreet=discreet)

    def signers(self) -> tuple[str, ...]:
        """Give who could countersign what the acting operator orders: somebody else, with an authority role."""
        acting, roles = self.running.operator, self.authority.roles
        enrolled = (o for o in self.running.journal.operators() if has_authority(o.role, roles))
        return tuple(o.name for o in enrolled if not is_same_person(o.name, acting))

    @property
    def is_authority(self) -> bool:
        """Whether who acts is enrolled with an authority role."""
        acting = self.running.operator
        mine = [o.role for o in self.running.journal.operators() if is_same_person(o.name, acting)]
        return any(has_authority(role, self.authority.roles) for role in mine)

    # --- signing ----------------------------------------------------------------------------------------------------

    def authorise(self, number: int, proof: Proof) -> Signature:
        """Countersign, by an authority who proves themselves. Raises NotAllowed: no authority, or who ordered it."""
        stored = self._unsigned(number)
        role = self._proven(proof, f"countersign urgent termination {number}", stored.operator)
        how = "by password and one-time code"
        return self.running.journal.countersign(number, proof.name, role, how, self.running.operator)

    def authorise_with_code(self, number: int, code: str) -> Signature:
        """Countersign with a code the authority gave, or a sealed one. Raises NotAllowed where it does not fit."""
        return self.running.journal.countersign_with_code(self._unsigned(number), code, self.running.operator)

    def refuse(self, number: int, reason: str, proof: Proof) -> StoredTermination:
        """Refuse to countersign, by an authority who proves themselves. It opens nothing. Raises NotAllowed."""
        stored = self._unsigned(number)
        role = self._proven(proof, f"refuse to countersign urgent termination {number}", stored.operator)
        return self.running.journal.refuse_countersignature(number, (proof.name, role), reason, self.running.operator)

    def hand_in(self, number: int, as_of: date) -> bool:
        """Drive what waited for the authority's answer (a refusal calls it off); false where a run does it next.

        Who is no longer blocked is left to `resume`, which decides again first.
        """
        journal = self.running.journal
        blocked = journal.memory(as_of).blocks
        keys = keys_of(journal.termination(number).records)
        legs = [leg for key in keys for leg in journal.open_legs(key=key, kind=LegKind.SESSIONS) if leg.resumable]
        signed = journal.signatures([leg.leg_id for leg in legs])
        waiting = [leg for leg in legs if leg.leg_id in signed and leg.person_id in blocked]
        if not waiting:
            return True
        with contextlib.suppress(RunInProgress), self.running.acting("authorise", as_of, {}) as applier:
            left = applier.drive(waiting)
            journal.end_run(applier.run, "handed in", 4 if left else 0)
            return True
        return False

    def _unsigned(self, number: int) -> StoredTermination:
        stored = self.running.journal.termination(number)
        if stored.signature:
            raise NotAllowed(f"Urgent termination {number} is countersigned already: {stored.signature.sentence}.")
        return stored

    # --- codes ------------------------------------------------------------------------------------------------------

    def give_code(self, judgement: Judgement, person: str, requester: str, proof: Proof) -> str:
        """Make a one-time code for one requester and one person, to be read out. Raises NotAllowed, UnknownPerson."""
        human = meant(judgement.decisions, person)
        role = self._proven(proof, f"give {requester} a code for {human.label}", requester)
        whom = human.records[0]
        by = (proof.name, role)
        return self.running.journal.give_code(by, requester, whom.person_id or whom.key, self.running.operator)

    def print_codes(self, count: int, proof: Proof) -> tuple[tuple[int, str], ...]:
        """Make sealed codes; this is the only time they are seen. Raises NotAllowed."""
        role = self._proven(proof, f"print {count} sealed codes")
        return self.running.journal.print_codes((proof.name, role), count, self.running.operator)

    def acknowledge(self, proof: Proof) -> tuple[Alarm, ...]:
        """Say that the authority knows of every alarm. Raises NotAllowed."""
        used_by = [alarm.used_by for alarm in self.due().alarms]
        self._proven(proof, "acknowledge alarms", *used_by)
        return self.running.journal.acknowledge_alarms(proof.name, self.running.operator)

    def _proven(self, proof: Proof, what: str, *nobody_like: str) -> str:
        """Prove an authority; give their role. Whoever is wrong too often has to wait."""
        journal, acting = self.running.journal, self.running.operator
        journal.refuse_tired(acting)
        try:
            return _proven_role(self, proof, what, nobody_like)
        except NotAllowed:
            journal.wrong_try(acting, what)
            raise

    # --- saying -----------------------------------------------------------------------------------------------------

    def due(self) -> Due:
        """Give what an authority still has to say a word on."""
        return self.running.journal.authority_due().local(self.running.setup.zone)

    def findings(self) -> tuple[Finding, ...]:
        """Say for `check` what is due: alarms and overdue countersignatures as warnings."""
        due = self.due()
        late = {t.number for t in due.overdue}
        alarms = [Finding(Level.WARNING, "authority", text, fix) for text, fix in replace(due, unsigned=()).sentences()]
        unsigned = [
            Finding(Level.WARNING if t.number in late else Level.OK, "authority", due_sentence(t, due.now), signing(t))
            for t in due.unsigned
        ]
        return (*alarms, *unsigned)

    def report_lines(self) -> tuple[ReportLine, ...]:
        """Say for the report what is overdue, and every alarm nobody acknowledged."""
        due = self.due()
        pressing = replace(due, unsigned=due.overdue)
        return tuple(
            ReportLine("Authority", "countersign", text, "It waits for somebody's word.", (fix,), warns=True)
            for text, fix in pressing.sentences()
        )


def _decided_again(legs: Sequence[OpenLeg], order: Order) -> Resumption:
    """Decide legs from earlier again; what could not be read then, and can be now, is over: the order has its own."""
    decisions = order.ordered.decisions
    decided = decide_again(legs, decisions)
    over = read_again(legs, decisions, {row.key for row in order.rows})
    return replace(decided, call_off=(*decided.call_off, *over))


def _proven_role(urgent: Urgent, proof: Proof, what: str, nobody_like: Sequence[str]) -> str:
    found = next((o for o in urgent.running.journal.operators() if o.name == proof.name), None)
    if found is None or not has_authority(found.role, urgent.authority.roles):
        roles = " or ".join(urgent.authority.roles)
        raise NotAllowed(
            f"{proof.name} is not enrolled with an authority role ({roles}).", "See: connector operator list"
        )
    if any(is_same_person(proof.name, name) for name in nobody_like):
        raise NotAllowed("Whoever asked for it cannot sign for it.", "Ask another authority.")
    # Against who asked, not against who sits here: an authority signs at their own desk too.
    journal, acting = urgent.running.journal, urgent.running.operator
    step = prove(found, journal.totp_seed(found), proof.password, proof.code)
    journal.spend_code(proof.name, step, acting, what)
    return found.role
