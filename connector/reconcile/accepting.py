"""What a run leaves for the next one: the snapshot, observations, links, and what size the sources are.

Only a run that nothing stopped is accepted: what comes next is compared with it. What cannot be believed is neither
kept nor counted.
"""

from dataclasses import dataclass
from datetime import date

from connector.model import Status
from connector.policy import PortalRules, Rules
from connector.reconcile.baseline import Baseline, baseline_of, counts_of
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.codec import CodecError, from_json, to_json
from connector.reconcile.decide import Decisions
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Run
from connector.reconcile.judge import Judgement
from connector.reconcile.plan import digest_of
from connector.reconcile.snapshot import Snapshot

_SHRUNK = "source-shrank:"
_HIGHEST_DAYS = 30
_ACCEPTED_KEPT = 10


@dataclass(frozen=True, slots=True)
class Accepting:
    """Keeps and accepts snapshots of one school, and gives what was accepted last."""

    journal: Journal
    rules: Rules
    portals: tuple[PortalRules, ...]
    operator: str
    reached: Reached = unwatched

    def baseline(self) -> Baseline | None:
        """Give the last accepted snapshot, decoded. One that another version wrote cannot be compared with."""
        stored = self.journal.last_accepted()
        if stored is None:
            return None
        try:
            return from_json(Baseline, stored.content.decode())
        except CodecError:
            return None

    def highest_counts(self, as_of: date) -> dict[str, int]:
        """Give the highest counts of 30 days, but not from before a shrinking that somebody waived."""
        highest = self.journal.accepted_counts(_HIGHEST_DAYS)
        waived = self.journal.settings("shrunk ")
        for name in highest:
            count, _, day = waived.get(f"shrunk {name.replace(' ', '-')}", "").partition("@")
            if day and (as_of - date.fromisoformat(day)).days <= _HIGHEST_DAYS:
                highest[name] = min(highest[name], int(count))
        return highest

    def keep(self, run: Run, judgement: Judgement, *, accepted: bool, retention_days: int, counts: bool = True) -> None:
        """Keep a run's snapshot and, where the run counts, observe who is ready; accept it where nothing stopped it."""
        snapshot, decisions = judgement.snapshot, judgement.decisions
        as_of = decisions.school.as_of
        kept = baseline_of(snapshot, self.rules, self.portals, as_of, judgement.night.baseline)
        content = to_json(kept, Baseline).encode()
        number = self.journal.keep_snapshot(run, as_of, content, counts_of(snapshot), fingerprints_of(snapshot))
        self.reached(Boundary.SNAPSHOT_KEPT)
        ready = {
            d.identity.key: digest_of([list(d.reasons)]) for d in decisions.rows if d.status is Status.READY_TO_REVOKE
        }
        if counts:
            self.journal.observe(run, as_of, ready, decisions.correlation.claims.entitled.keys())
        if accepted:
            self.journal.accept_snapshot(number, run)
            self.reached(Boundary.SNAPSHOT_ACCEPTED)
            self._learn_links(judgement)
            self._learn_usernames(judgement)
            self._remember_shrinking(judgement)
        self.journal.prune(retention_days, _ACCEPTED_KEPT)

    def _remember_shrinking(self, judgement: Judgement) -> None:
        """A shrinking that somebody waived is the new size: it is not objected to again for thirty days."""
        counts = {name.replace(" ", "-"): count for name, count in judgement.night.counts.items()}
        for objection in judgement.plan.objections:
            if objection.label.startswith(_SHRUNK):
                name = objection.label.removeprefix(_SHRUNK)
                value = f"{counts[name]}@{judgement.decisions.school.as_of.isoformat()}"
                self.journal.set_setting(f"shrunk {name}", value, self.operator)

    def _learn_usernames(self, judgement: Judgement) -> None:
        """Remember under which name everybody may be signed in: a session outlives a username that is changed."""
        known, found = judgement.night.memory.users, usernames_of(judgement.decisions)
        new = {place: person_id for place, person_id in found.items() if known.get(place) != person_id}
        if new:
            self.journal.remember_users(new)

    def _learn_links(self, judgement: Judgement) -> None:
        links = judgement.decisions.correlation.links
        new = [(link.directory, link.guid, link.person_id) for link in links if not link.moved_from]
        self.journal.link_many(new, self.operator, "employee id")
        for link in links:
            if link.moved_from:
                how = "moved within the same human"
                self.journal.move_link(link.directory, link.guid, link.person_id, self.operator, how)


def usernames_of(decisions: Decisions) -> dict[tuple[str, str], str]:
    """Give whose username each is, by portal; an account's name counts where no member has it.

    A name that two people share is nobody's.
    """
    members: dict[tuple[str, str], str] = {}
    accounts: dict[tuple[str, str], str] = {}
    for identity in decisions.correlation.identities:
        if person_id := identity.person_id:
            for member in identity.members:
                _note_holder(members, (member.portal, member.username), person_id)
            for linked in identity.accounts:
                for portal in decisions.scene.through_directory:
                    _note_holder(accounts, (portal, linked.account.username), person_id)
    return {(p, name): person_id for (p, name), person_id in (accounts | members).items() if name and person_id}


def _note_holder(found: dict[tuple[str, str], str], place: tuple[str, str], person_id: str) -> None:
    found[place] = person_id if found.get(place, person_id) == person_id else ""


def fingerprints_of(snapshot: Snapshot) -> dict[str, str]:
    """Give each source's digest of what was read."""
    found = {"admin_system": snapshot.people.provenance.fingerprint}
    found |= {f"portal {r.portal}": r.provenance.fingerprint for r in snapshot.portals}
    found |= {f"directory {r.directory}": r.provenance.fingerprint for r in snapshot.directories}
    found |= {f"session store {r.store}": r.provenance.fingerprint for r in snapshot.session_stores}
    return found
