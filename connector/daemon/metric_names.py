"""Every metric there is: its name, what kind it is, its labels, and what it says. Pure; the documents are held to it.

A label's values are words of the connector or names of the config: never a person, a code or a username.
"""

from dataclasses import dataclass

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"


@dataclass(frozen=True, slots=True)
class Name:
    """One metric, as it is exposed."""

    name: str
    kind: str
    labels: tuple[str, ...]
    says: str


def _gauge(name: str, says: str, *labels: str) -> Name:
    return Name(f"connector_{name}", GAUGE, labels, says)


def _counter(name: str, says: str, *labels: str) -> Name:
    return Name(f"connector_{name}_total", COUNTER, labels, says)


NAMES: tuple[Name, ...] = (
    _gauge("info", "1, with the version that runs.", "version"),
    _gauge("journal_up", "1 where the journal could be read for this scrape; without it only what needs none is here."),
    _gauge("live", "1 where unattended runs apply; 0 is report mode."),
    # runs
    _gauge("runs", "Runs that the journal remembers.", "kind", "result"),
    _gauge("run_going", "1 while a run holds the run lease."),
    _gauge("last_run_timestamp_seconds", "When the last whole run (run or report) ended."),
    _gauge("last_run_exit_code", "Its exit code: 0, 1 failed, 2 pending, 3 an objection, 4 something is open."),
    _gauge("last_run_result", "1 for what came of it.", "result"),
    _gauge("last_run_duration_seconds", "How long it took, its reading included."),
    _gauge("last_run_stage_seconds", "How long each of its stages took.", "stage"),
    _gauge("last_accepted_timestamp_seconds", "When a run was last accepted."),
    _gauge("next_night_timestamp_seconds", "When the next night begins."),
    # who is where
    _gauge("identities", "Identities by status, as the last plan saw them.", "status"),
    _gauge("rows_held", "Rows of the last plan that wait for a person."),
    _gauge("rows_pending", "Rows of the last plan that would be applied."),
    _gauge("accounts_unmanaged", "Accounts in managed places that are nobody's: counted, never touched."),
    _gauge("holds", "Rows of the last plan that each hold keeps waiting.", "hold"),
    _gauge("objections", "Objections to the last plan that nobody has waived.", "kind"),
    # what is open
    _counter("revocations_closed", "Revocations that closed something."),
    _gauge("open_revocations", "Revocations (close) and restores (open) under way.", "direction"),
    _gauge("open_legs", "Legs that are not at their end.", "kind", "target", "direction"),
    _gauge("open_leg_oldest_age_seconds", "How long the oldest of them is open.", "kind", "target", "direction"),
    _gauge(
        "leg_failures", "Open legs whose last try was refused, unreachable or a conflict.", "kind", "target", "state"
    ),
    _gauge("open_changes", "Memberships and accounts still to be changed.", "kind", "target"),
    _gauge("sessions_came_back", "Sessions that came back after they were ended, found within 24 hours.", "store"),
    # words
    _gauge("unsent_messages", "Messages that wait to be sent.", "channel"),
    _gauge("unsent_message_oldest_age_seconds", "How long the oldest of them waits.", "channel"),
    _gauge("message_last_sent_timestamp_seconds", "When a message was last sent.", "channel"),
    _gauge("countersignatures_waiting", "Urgent terminations that nobody has countersigned yet."),
    _gauge("countersignatures_overdue", "Those of them that are past their time."),
    _gauge("authority_alarms", "Sealed codes that were used, or refused orders, that nobody has acknowledged."),
    # the daemon and its journal
    _gauge("daemon_claimed", "1 where some daemon, on any machine, holds the claim."),
    _gauge("daemon_works", "1 where it is this one; 0 stands by."),
    _gauge("daemon_step_timestamp_seconds", "When this daemon last came round."),
    _gauge("journal_size_bytes", "How large the journal's database is."),
    _gauge("audit_records", "Records of the audit trail, sealed ones included."),
    _gauge("audit_ok", "1 where the audit trail held when it was last proven, 0 where it did not."),
    _gauge("audit_proven_timestamp_seconds", "When that was."),
    # SCIM
    _counter("scim_requests", "SCIM requests answered on this machine.", "client", "method", "resource", "status"),
    Name(
        "connector_scim_request_duration_seconds",
        HISTOGRAM,
        ("method", "resource"),
        "How long they took.",
    ),
    _counter("scim_refused", "SCIM requests refused: 401, 403, 409, 413, 429 and other 4xx.", "client", "code"),
    _counter("scim_throttled", "SCIM requests refused because a client asked too often (429).", "client"),
    _gauge("scim_deactivations_refused", "People a client was not allowed to take away within 24 hours.", "client"),
    _gauge("scim_pending", "Users whose change is not yet done on the targets."),
    _gauge("scim_pending_oldest_age_seconds", "How long the oldest of them waits."),
)

BY_NAME = {one.name: one for one in NAMES}


def series_of(one: Name) -> tuple[str, ...]:
    """Give the names of the series a metric is queried by."""
    if one.kind == HISTOGRAM:
        return tuple(f"{one.name}_{part}" for part in ("bucket", "count", "sum"))
    return (one.name,)


def as_table() -> str:
    """Give them as the table of the documents."""
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.says} |"
        for one in NAMES
    ]
    return "\n".join(("| metric | kind | labels | what it says |", "|---|---|---|---|", *rows))
