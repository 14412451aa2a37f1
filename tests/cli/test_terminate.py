"""The urgent case at the command line: one human is closed at once, an authority signs, and one page certifies it."""

import re
import sqlite3
from pathlib import Path

import pyotp
import pytest

from connector.operators import who_acts
from tests.cli.builders import PASSWORD, Answer, School

REASON = ("--reason", "custody order of 21 November")
TICKETS = """
[session_stores.vendor]
adapter = "ticket"
folder = "tickets"
confirmed_folder = "confirmed"
portal = "engage"
"""


def enrolled(school: School, name: str = "grace", role: str = "SEC") -> pyotp.TOTP:
    """Enrol an operator and give their authenticator."""
    answer = school.typed("operator", "add", name, "--role", role, answers=f"{PASSWORD}\n{PASSWORD}\n")
    assert answer.code == 0, answer
    found = re.search(r"secret +([A-Z2-7]+)", answer.out)
    assert found
    return pyotp.TOTP(found[1])


def as_authority(school: School, code: str, name: str = "grace") -> tuple[str, ...]:
    path = school.folder / "password.txt"
    path.write_text(f"{PASSWORD}\n", encoding="utf-8")
    return ("--as", name, "--password-file", str(path), "--totp", code)


def forget_time(school: School) -> None:
    """Let the authenticator's codes be new again, as half a minute later."""
    with sqlite3.connect(school.folder / "journal.sqlite") as journal:
        journal.execute("DELETE FROM settings WHERE name LIKE 'code-of:%'")


def terminated(school: School, *words: str) -> Answer:
    return school.typed("terminate", *(words or ("XU1003",)), *REASON, "--apply")


def with_tickets(school: School) -> School:
    """Give the portal a vendor who ends sessions only on a ticket."""
    for folder in ("tickets", "confirmed"):
        (school.folder / folder).mkdir()
    school.config.write_text(school.config.read_text(encoding="utf-8") + TICKETS, encoding="utf-8")
    return school


def tickets(school: School) -> list[Path]:
    return sorted((school.folder / "tickets").glob("*.txt"))


# --- who is meant, and what would be closed ---------------------------------------------------------------------------


def test_it_is_a_dry_run_unless_somebody_says_apply(school: School) -> None:
    before = school.identity("XU1003")

    dry = school.typed("terminate", "XU1003", *REASON)

    assert dry.code == 2
    assert "disable the account u1003 in ad" in dry.out
    assert "Dry run: nothing was written" in dry.out
    assert school.identity("XU1003") == before
    assert "countersignature" not in school.typed("status").out


@pytest.mark.parametrize("words", [("u1003",), ("p1003@mail.example",), ("Hamish", "Xu"), ("Fatima", "Ueda")])
def test_a_person_is_found_by_username_e_mail_name_and_child(school: School, words: tuple[str, ...]) -> None:
    dry = school.typed("terminate", *words, *REASON)

    assert dry.code == 2
    assert "URGENT TERMINATION of Hamish Xu (XU1003)" in dry.out


def test_every_record_of_the_same_human_is_shown(school: School) -> None:
    dry = school.typed("terminate", "TE-1098", *REASON)

    assert "URGENT TERMINATION of Zoe Te-Rangi (TE-1098): 2 records" in dry.out
    assert "TE-1094" in dry.out


def test_two_records_that_are_one_human_are_not_two_people(school: School) -> None:
    dry = school.typed("terminate", "Uma", "Quinn", *REASON)

    assert dry.code == 2
    assert "2 records" in dry.out


def test_several_different_people_are_listed_and_none_is_chosen(school: School) -> None:
    refused = terminated(school, "Chloe", "Young")

    assert refused.code == 1
    assert "2 different people answer to 'Chloe Young'. Nothing was closed." in refused.err
    assert "(KAU1127)" in refused.err
    assert "(KAU1128)" in refused.err
    assert "Type the contact code" in refused.err


def test_a_contact_type_that_is_not_theirs_stops_it(school: School) -> None:
    refused = school.typed("terminate", "XU1003", *REASON, "--contact-type", "Father", "--apply")
    right = school.typed("terminate", "XU1003", *REASON, "--contact-type", "mother")

    assert (refused.code, right.code) == (1, 2)
    assert "Hamish Xu (XU1003) is 'Mother', not 'Father'. Nothing was closed." in refused.err


def test_nobody_is_terminated_without_a_reason(school: School) -> None:
    assert school.typed("terminate", "XU1003", "--apply").code == 1


# --- closing and certifying -------------------------------------------------------------------------------------------


def test_everything_closes_at_once_and_is_certified(school: School) -> None:
    done = terminated(school)

    assert done.code == 0
    assert school.identity("XU1003")["status"] == "revoked"
    assert "Urgent termination 1: Hamish Xu (XU1003): closed" in done.out
    assert re.search(r"Seconds +\d+\.\d from the command", done.out)
    assert re.search(r"account u1003 in ad: closed \d{4}-", done.out)
    assert "1 session ended" in done.out
    assert re.search(r"Countersigned by +due until", done.out)
    assert re.search(r"Audit head +\d+:[0-9a-f]{64}", done.out)


def test_a_court_order_does_not_wait_for_an_admin_system_that_cannot_be_read(school: School) -> None:
    found = re.search(r"connector approve (\w+)", school.typed("run", "--apply").out)
    assert found
    school.typed("approve", found[1], "--waive", "first-run", "--reason", "looked at")
    assert school.typed("run", "--apply").code in (0, 4)
    people = school.folder / "admin" / "people.csv"
    people.rename(people.with_suffix(".gone"))

    answer = terminated(school)

    assert answer.code == 0, answer
    assert "newest accepted run" in answer.out
    people.with_suffix(".gone").rename(people)
    assert school.identity("XU1003")["status"] == "revoked"


def test_without_any_accepted_run_an_unreadable_admin_system_stops_it(school: School) -> None:
    people = school.folder / "admin" / "people.csv"
    people.rename(people.with_suffix(".gone"))

    answer = terminated(school)

    assert answer.code == 1
    assert "people.csv" in answer.err


def test_every_record_of_the_human_is_blocked_and_closed(school: School) -> None:
    done = terminated(school, "TE-1098")

    assert done.code == 0
    assert {school.identity(code)["status"] for code in ("TE-1094", "TE-1098")} == {"revoked"}


def test_somebody_of_whom_nothing_lives_is_blocked_and_certified_all_the_same(school: School) -> None:
    terminated(school)

    again = terminated(school)

    assert again.code == 0
    assert "nothing of theirs lived" in again.out
    assert "nothing had to be closed" in again.out


def test_an_account_outside_the_managed_ous_that_stays_enabled_is_on_the_certificate(school: School) -> None:
    dry = school.typed("terminate", "NGU1680", *REASON)

    done = terminated(school, "NGU1680")

    assert "disable the account u1680 in ad (NOT from here: outside the managed OUs" in dry.out
    assert "Siân Nguyen (NGU1680): closed, but for 1 door" in done.out
    assert "account u1680 in ad: NOT closed by this: outside the managed OUs, where nothing is written" in done.out
    assert re.search(r"Effective by +now, but for what is NOT closed by this", done.out)


def test_a_membership_and_its_sessions_that_stay_in_a_portal_that_is_not_governed_are_on_the_certificate(
    school: School,
) -> None:
    done = terminated(school, "ABB1196")

    assert "Dmitri Abbott (ABB1196): closed, but for 2 doors" in done.out
    assert "username a1196 and membership in alumni: NOT closed by this: alumni is not governed" in done.out
    assert "connector membership disable alumni ABB1196 --apply" in done.out
    assert "sessions of a1196 in web: NOT closed by this: alumni is not governed" in done.out


def test_what_stays_of_somebody_of_whom_nothing_else_lives_is_on_the_certificate_too(school: School) -> None:
    terminated(school, "NGU1680")

    again = terminated(school, "NGU1680")

    assert again.code == 0
    assert "closed, but for 1 door" in again.out
    assert "account u1680 in ad: NOT closed by this" in again.out
    assert "nothing of theirs lived" not in again.out


def test_an_account_of_nobody_is_closed_and_no_block_is_promised(school: School) -> None:
    dry = school.typed("terminate", "TAN1187", *REASON)

    done = terminated(school, "TAN1187")

    assert "without a block, for there is no person to put it on" in dry.out
    assert done.code == 0
    assert "account u1187 in ad: closed" in done.out


def test_why_is_told_to_the_authority_role_only(school: School) -> None:
    terminated(school)
    discreet = school.typed("certificate", "1").out

    enrolled(school, who_acts().partition("@")[0])

    told = school.typed("certificate", "1").out
    assert "access-ended" in discreet
    assert not re.search("custody|block", discreet)
    assert "custody order of 21 November (blocked and requested)" in told


def test_the_certificate_is_one_page_that_needs_nothing_else(school: School, tmp_path: Path) -> None:
    terminated(school)
    page = tmp_path / "certificate.html"

    written = school.typed("certificate", "1", "--html", str(page))

    html = page.read_text(encoding="utf-8")
    assert written.code == 0
    assert "default-src &#x27;none&#x27;" in html
    assert "Hamish Xu (XU1003)" in html
    assert not re.search(r"<script|src=|href=|custody", html)


def test_a_certificate_of_nothing_is_refused(school: School) -> None:
    assert "no urgent termination 9" in school.typed("certificate", "9").err


# --- countersigning ---------------------------------------------------------------------------------------------------


def test_an_authority_countersigns_with_password_and_one_time_code(school: School) -> None:
    terminated(school)
    code = enrolled(school).now()
    due = school.typed("status").out

    signed = school.typed("authorise", "1", *as_authority(school, code))

    assert signed.code == 0, signed
    assert "countersignature due until" in due
    assert "is countersigned: grace (SEC)" in signed.out
    assert "countersignature" not in school.typed("status").out
    assert re.search(r"Countersigned by +grace \(SEC\)", school.typed("certificate", "1").out)


def test_a_replayed_code_countersigns_nothing(school: School) -> None:
    terminated(school)
    terminated(school)
    code = enrolled(school).now()
    school.typed("authorise", "1", *as_authority(school, code))

    replayed = school.typed("authorise", "2", *as_authority(school, code))

    assert replayed.code == 1
    assert "used already" in replayed.err


def test_who_ordered_it_does_not_countersign_it(school: School) -> None:
    terminated(school)
    me = who_acts().partition("@")[0]
    code = enrolled(school, me).now()

    refused = school.typed("authorise", "1", *as_authority(school, code, me))

    assert refused.code == 1
    assert "Whoever asked for it cannot sign for it." in refused.err


def test_an_operator_without_an_authority_role_signs_nothing(school: School) -> None:
    terminated(school)
    code = enrolled(school, "bob", "operator").now()

    refused = school.typed("authorise", "1", *as_authority(school, code, "bob"))

    assert refused.code == 1
    assert "bob is not enrolled with an authority role (SEC or STC)." in refused.err


def test_the_school_says_which_roles_have_authority(school: School) -> None:
    school.config.write_text(
        school.config.read_text(encoding="utf-8") + '\n[authority]\nroles = ["Head"]\n', encoding="utf-8"
    )
    terminated(school)
    code = enrolled(school, "grace", "head").now()

    assert school.typed("authorise", "1", *as_authority(school, code)).code == 0


def test_wrong_tries_come_to_an_end(school: School) -> None:
    terminated(school)
    code = enrolled(school)
    tries = [school.typed("authorise", "1", *as_authority(school, "000000")).err for _ in range(5)]

    tired = school.typed("authorise", "1", *as_authority(school, code.now()))

    assert all("could not be proven" in said for said in tries)
    assert tired.code == 1
    assert "was wrong 5 times" in tired.err


def test_a_code_given_by_telephone_countersigns(school: School) -> None:
    terminated(school)
    me, totp = who_acts().partition("@")[0], enrolled(school)
    given = school.typed("authority", "code", "XU1003", "--for", me, *as_authority(school, totp.now()))
    code = re.search(r"else: ([0-9A-Z-]+)", given.out)
    assert code

    signed = school.typed("authorise", "1", "--code", code[1])

    assert signed.code == 0, signed
    assert "grace (SEC)" in signed.out
    assert "by one-time code, typed by" in signed.out
    assert "does not fit" in school.typed("authorise", terminated_again(school), "--code", code[1]).err


def terminated_again(school: School) -> str:
    return str(terminated(school).out.partition("Urgent termination ")[2].partition(":")[0])


def test_an_authority_gives_no_code_to_themselves(school: School) -> None:
    totp = enrolled(school)

    refused = school.typed("authority", "code", "XU1003", "--for", "grace", *as_authority(school, totp.now()))

    assert refused.code == 1
    assert "cannot sign for it" in refused.err


def test_a_sealed_code_raises_an_alarm_until_an_authority_acknowledges_it(closed: School) -> None:
    totp = enrolled(closed)
    printed = closed.typed("authority", "print-codes", "--count", "3", *as_authority(closed, totp.now()))
    codes = re.findall(r"^ +\d+ +([0-9A-Z-]{19})$", printed.out, re.MULTILINE)
    terminated(closed)

    signed = closed.typed("authorise", "1", "--code", codes[1])

    alarmed = [closed.typed(verb) for verb in ("status", "check", "report")]
    assert (printed.code, len(codes), signed.code) == (0, 3, 0)
    assert "sealed code 2" in signed.out
    assert all("ALARM: sealed code 2 (printed by grace)" in answer.out for answer in alarmed)
    forget_time(closed)
    known = closed.typed("authority", "acknowledge", *as_authority(closed, totp.now()))
    assert known.code == 0, known
    assert all("ALARM" not in closed.typed(verb).out for verb in ("status", "check", "report"))


def test_an_authority_refuses_and_who_ordered_it_is_told_how_to_restore(closed: School) -> None:
    totp = enrolled(closed)
    terminated(closed)

    refused = closed.typed(
        "authority", "refuse", "1", "--reason", "no court order is on file", *as_authority(closed, totp.now())
    )

    alarmed = [closed.typed(verb).out for verb in ("status", "check", "report")]
    paper = closed.typed("certificate", "1").out
    assert refused.code == 0, refused
    assert "connector unblock XU1003 --second NAME; connector restore XU1003 --second NAME --apply" in refused.out
    assert all("ALARM: the countersignature of urgent termination 1" in said for said in alarmed)
    assert all("countersignature due until" not in said for said in alarmed)
    assert re.search(r"Countersigned by +REFUSED by grace \(SEC\)", paper)
    assert "court order is on file" not in paper
    assert closed.identity("XU1003")["status"] == "revoked"


def test_who_ordered_it_does_not_refuse_it(school: School) -> None:
    terminated(school)
    me = who_acts().partition("@")[0]
    code = enrolled(school, me).now()

    refused = school.typed("authority", "refuse", "1", "--reason", "x", *as_authority(school, code, me))

    assert refused.code == 1
    assert "Whoever asked for it cannot sign for it." in refused.err


def test_an_overdue_countersignature_stands_in_status_check_and_report(closed: School) -> None:
    terminated(closed)
    with sqlite3.connect(closed.folder / "journal.sqlite") as journal:
        journal.execute("UPDATE terminations SET due_at = '2020-01-01 00:00:00.000000'")

    said = [closed.typed(verb).out for verb in ("status", "check", "report")]

    assert all("countersignature OVERDUE since 2020-01-01" in text for text in said)


# --- what waits for the authority -------------------------------------------------------------------------------------


def test_a_vendors_ticket_waits_for_the_authority_and_then_names_it(school: School) -> None:
    done = terminated(with_tickets(school))
    school.typed("resume", "--apply")
    before = tickets(school)
    totp = enrolled(school)

    signed = school.typed("authorise", "1", *as_authority(school, totp.now()))

    assert done.code == 4
    assert "waits for the authority's countersignature" in done.out
    assert before == []
    assert signed.code == 0, signed
    (ticket,) = tickets(school)
    text = ticket.read_text(encoding="utf-8")
    assert "Authorised by: grace (SEC), " in text
    assert "custody" not in text
    assert "still open" in school.typed("certificate", "1").out
    (school.folder / "confirmed" / ticket.name).write_text("done", encoding="utf-8")
    assert school.typed("resume", "--apply").code == 0
    assert "Hamish Xu (XU1003): closed" in school.typed("certificate", "1").out


# --- opening again ----------------------------------------------------------------------------------------------------


def test_who_was_terminated_is_opened_again_only_by_two(school: School) -> None:
    terminated(school)
    totp = enrolled(school)
    blocked = school.typed("restore", "XU1003", "--apply")
    words = ("--password-file", as_authority(school, "")[3])
    lifted = school.typed("unblock", "XU1003", "--second", "grace", *words, "--code", totp.now())
    alone = school.typed("restore", "XU1003", "--apply")
    forget_time(school)

    both = school.typed("restore", "XU1003", "--second", "grace", *words, "--code", totp.now(), "--apply")

    assert (blocked.code, lifted.code, alone.code, both.code) == (1, 0, 1, 0)
    assert "closed by an urgent termination: reopening takes a second operator" in alone.out
    assert school.identity("XU1003")["status"] == "active"


def test_where_nobody_could_countersign_it_says_so_before_and_after_and_closes_all_the_same(school: School) -> None:
    dry, done = school.typed("terminate", "XU1003", *REASON), terminated(school, "XU1003")

    for answer in (dry, done):
        assert "so nobody can countersign it yet. It closes all the same." in answer.out
        assert "connector operator add NAME --role SEC" in answer.out
    assert done.code == 0
