"""An LDIF export as a directory: believed only when whole, changed in one place only, replayable."""

import base64
import multiprocessing
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from connector.errors import SourceError, TargetUnreachable
from connector.ldap.dialect import Dialect
from connector.ldap.ldif import LdifDirectory, LdifSettings
from connector.model import Account, CloseAccount, LegState, OpenAccount
from tests.ldap.builders import site
from tests.servers import require
from tests.servers.samba import SambaDc

SAMPLE = Path(__file__).parents[2] / "sample" / "harbour-college" / "directory.ldif"
BASE = "DC=x"
NORA = uuid.UUID("0d065a21-a64b-48b0-802d-b60395655d03")


def directory(folder: Path, **settings: Any) -> LdifDirectory:
    given = {"file": "directory.ldif", "base": BASE, "managed": (f"OU=P,{BASE}",)} | settings
    return LdifDirectory("export", LdifSettings(**given), site(folder))


def harbour(folder: Path) -> LdifDirectory:
    shutil.copy(SAMPLE, folder / "directory.ldif")
    base = "DC=harbour,DC=example"
    return directory(folder, base=base, managed=(f"OU=Parents,OU=People,{base}",))


def write(folder: Path, *lines: str, newline: str = "\n", encoding: str = "utf-8") -> Path:
    file = folder / "directory.ldif"
    file.write_bytes("".join(line + newline for line in lines).encode(encoding))
    return file


def person(*more: str, guid: str = "IVoNBkumsEiALbYDlWVdAw==", dn: str = "CN=Nora,OU=P,DC=x") -> tuple[str, ...]:
    return (f"dn: {dn}", "objectClass: user", f"objectGUID:: {guid}", "userAccountControl: 512", *more, "")


def accounts(folder: Path, **settings: Any) -> tuple[Account, ...]:
    return directory(folder, **settings).read_all().accounts


# --- the sample -------------------------------------------------------------------------------------------------


def test_the_sample_is_read_with_its_managed_and_protected_accounts(tmp_path: Path) -> None:
    reading = harbour(tmp_path).read_all()

    by_name = {account.username: account for account in reading.accounts}
    assert len(by_name) == 140
    assert by_name["u1009"].protected == "adminCount is set; member of CN=Domain Admins,CN=Users,DC=harbour,DC=example"
    assert by_name["u1286"].protected == "member of CN=Backup Team,CN=Users,DC=harbour,DC=example"
    assert sum(bool(account.protected) for account in reading.accounts) == 2
    assert by_name["u1009"].name == "Łukasz Tanaka"
    assert by_name["u1003"].managed
    assert not by_name["u1680"].managed
    assert sum(not account.enabled for account in reading.accounts) == 4
    assert sum(account.expires_at is not None for account in reading.accounts) == 1


def test_closing_changes_one_line_of_the_sample_and_no_other_byte(tmp_path: Path) -> None:
    opened = harbour(tmp_path)
    before = SAMPLE.read_bytes().splitlines(keepends=True)
    account = next(account for account in opened.read_all().accounts if account.username == "u1003")

    opened.close([CloseAccount(account)])

    after = (tmp_path / "directory.ldif").read_bytes().splitlines(keepends=True)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [(b"userAccountControl: 512\n", b"userAccountControl: 514\n")]


def test_opening_again_gives_the_very_same_file(tmp_path: Path) -> None:
    opened = harbour(tmp_path)
    account = opened.read_all().accounts[0]
    opened.close([CloseAccount(account)])

    opened.open([OpenAccount(opened.read_some([account.guid])[0], account.state)])

    assert (tmp_path / "directory.ldif").read_bytes() == SAMPLE.read_bytes()


def test_a_change_keeps_mode_and_age_of_the_file_and_leaves_nothing_lying_about(tmp_path: Path) -> None:
    opened = harbour(tmp_path)
    file = tmp_path / "directory.ldif"
    file.chmod(0o640)
    os.utime(file, (1_700_000_000, 1_700_000_000))

    opened.close([CloseAccount(opened.read_all().accounts[0])])

    assert file.stat().st_mode & 0o777 == 0o640
    assert opened.read_all().provenance.produced_at is not None
    assert file.stat().st_mtime == 1_700_000_000
    assert {path.name for path in tmp_path.iterdir()} <= {
        "directory.ldif",
        "directory.ldif.lock",
        "directory.ldif.changes.ldif",
    }


# --- forms a file may have --------------------------------------------------------------------------------------


def test_folded_lines_comments_and_base64_are_read(tmp_path: Path) -> None:
    write(tmp_path, "# made by ldifde", " and more", "version: 1", "", *person("# a comment", " of two lines", "emplo",
          " yeeID: NO", " R1", "mail:: bm9yYUBtYWlsLmV4YW1wbGU="))  # fmt: skip

    (account,) = accounts(tmp_path)

    assert (account.employee_id, account.email) == ("NOR1", "nora@mail.example")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_line_endings_and_a_byte_order_mark_are_kept(tmp_path: Path, newline: str, encoding: str) -> None:
    file = write(tmp_path, *person("displayName: Nöra"), newline=newline, encoding=encoding)
    before = file.read_bytes()
    opened = directory(tmp_path)

    (outcome,) = opened.close([CloseAccount(opened.read_all().accounts[0])])

    assert outcome.state is LegState.CLOSED
    assert file.read_bytes() == before.replace(b": 512", b": 514")


def test_a_folded_value_is_replaced_whole(tmp_path: Path) -> None:
    lines = [line for line in person("mail: a@x") if "Control" not in line]
    file = write(tmp_path, *lines[:3], "userAccount", " Control: 5", " 12", *lines[3:])
    opened = directory(tmp_path)

    opened.close([CloseAccount(opened.read_all().accounts[0])])

    assert file.read_text().splitlines()[3:] == ["userAccountControl: 514", "mail: a@x", ""]


def test_an_openldap_export_is_locked_by_a_line_of_its_own_and_unlocked_without_a_trace(tmp_path: Path) -> None:
    entry = ("dn: uid=nora,OU=P,DC=x", "objectClass: person", "uid: nora", f"entryUUID: {NORA}", "", "# end")
    file = write(tmp_path, *entry)
    before = file.read_bytes()
    opened = directory(tmp_path, dialect=Dialect.OPENLDAP)
    account = opened.read_all().accounts[0]

    opened.close([CloseAccount(account)])
    locked = file.read_text().splitlines()
    opened.open([OpenAccount(opened.read_some([str(NORA)])[0], "")])

    assert locked[3:6] == [f"entryUUID: {NORA}", "pwdAccountLockedTime: 000001010000Z", ""]
    assert file.read_bytes() == before


@pytest.mark.parametrize("classes", [("inetOrgPerson",), ("top", "schoolPerson"), ("top", "residentialPerson")])
def test_a_person_in_an_openldap_export_is_seen_although_the_entry_does_not_name_the_class_above_its_own(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    entry = ("dn: uid=nora,OU=P,DC=x", *(f"objectClass: {name}" for name in classes), "uid: nora", "cn: Nora", "sn: Ng")
    group = ("dn: cn=team,OU=P,DC=x", "objectClass: groupOfNames", "cn: team", "member: uid=nora,OU=P,DC=x", "")
    write(tmp_path, *entry, f"entryUUID: {NORA}", "", *group)

    seen = accounts(tmp_path, dialect=Dialect.OPENLDAP)

    assert [(account.username, account.managed) for account in seen] == [("nora", True)]


# --- files that are not believed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((*person()[:-1], "mail:< file:///etc/passwd", ""), "line 5: mail points to a URL, which is never opened"),
        ((*person()[:-1], "mail:: ***", ""), "line 5: mail is not base64"),
        ((*person()[:-1], "mail:: YQ", ""), "line 5: mail is not base64"),
        ((*person()[:-1], "no colon", ""), "line 5: b'no colon' is not of the form"),
        ((*person()[:-1], "changetype: modify", ""), "line 5: the file holds changes, not entries"),
        ((*person()[:-1], "dn: CN=b,DC=x", ""), "line 5: an entry begins without an empty line"),
        ((" continues",), "line 1: a line continues nothing"),
        (("search: 2", "result: 0 Success"), "line 1: an entry begins with 'search'"),
        (("version: 2", "", *person()), "line 1: the file is of another version"),
        (("", "", ""), "line 1: the file is empty"),
        ((*person(), "dn: CN=b,DC=x"), "line 6: the entry has no attributes, so the file may be cut off"),
        ((*person(), *person()[:2]), "line 6: 'CN=Nora,OU=P,DC=x' is here a second time"),
        ((*person(), *person(dn="CN=b,DC=x")), "line 6: 'CN=b,DC=x' has the objectGUID of the entry in line 1"),
        (("# export", *person()[:2]), "line 2: .*objectGUID cannot be read"),
        (person(guid="AAAA"), "line 1: .*objectGUID cannot be read"),
        (("", *person()[:3]), "line 2: .*it has no userAccountControl"),
        (person(dn="nonsense"), "line 1: 'nonsense' is no name"),
    ],
)
def test_a_file_that_cannot_be_believed_is_an_error_naming_the_line(
    tmp_path: Path, lines: tuple[str, ...], said: str
) -> None:
    write(tmp_path, *lines)

    with pytest.raises(SourceError, match=rf"export, directory\.ldif, {said}") as caught:
        directory(tmp_path).read_all()

    assert caught.value.remedy


def test_a_file_cut_off_in_a_line_is_an_error(tmp_path: Path) -> None:
    file = write(tmp_path, *person("mail: nora@mail.example"))
    file.write_bytes(file.read_bytes()[:-6])

    with pytest.raises(SourceError, match="line 5: the last line does not end, so the file may be cut off"):
        directory(tmp_path).read_all()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_refused_with_the_way_to_export_without(tmp_path: Path, encoding: str) -> None:
    write(tmp_path, *person(), encoding=encoding)

    with pytest.raises(SourceError, match="UTF-16") as caught:
        directory(tmp_path).read_all()

    assert "ldifde without -u" in caught.value.remedy


def test_a_file_in_windows_1252_is_refused_naming_the_line(tmp_path: Path) -> None:
    write(tmp_path, *person("displayName: Nöra"), encoding="cp1252")

    with pytest.raises(SourceError, match="line 5: the file is not UTF-8, perhaps Windows-1252"):
        directory(tmp_path).read_all()


def test_a_file_that_is_not_there_is_a_target_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(TargetUnreachable, match=r"directory\.ldif cannot be read"):
        directory(tmp_path).read_all()


def test_check_says_what_is_wrong_without_raising(tmp_path: Path) -> None:
    write(tmp_path, "nonsense")

    (finding,) = directory(tmp_path).check()

    assert finding.level == "error"
    assert "line 1" in finding.message


def test_check_says_that_the_directory_knows_nothing_yet_of_what_was_changed_in_its_export(tmp_path: Path) -> None:
    write(tmp_path, *person())
    opened = directory(tmp_path)
    before = [finding.level for finding in opened.check()]
    opened.close([CloseAccount(opened.read_all().accounts[0])])

    finding = opened.check()[-1]

    assert "warning" not in before
    assert finding.level == "warning"
    assert "is not in the directory yet" in finding.message
    assert ".changes.ldif" in finding.message
    assert "ldifde -i -f FILE" in finding.remedy


def test_a_file_that_turned_bad_since_the_plan_is_left_alone(tmp_path: Path) -> None:
    file = write(tmp_path, *person())
    opened = directory(tmp_path)
    item = CloseAccount(opened.read_all().accounts[0])
    file.write_bytes(b"nonsense\n")

    (outcome,) = opened.close([item])

    assert outcome.state is LegState.UNREACHABLE
    assert file.read_bytes() == b"nonsense\n"


# --- change records ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="only there a file has a mode")
def test_change_records_are_not_for_everybody_on_the_machine(tmp_path: Path) -> None:
    write(tmp_path, *person())
    opened, before = directory(tmp_path), os.umask(0)
    try:
        opened.close([CloseAccount(account) for account in opened.read_all().accounts])
    finally:
        os.umask(before)

    assert (tmp_path / "directory.ldif.changes.ldif").stat().st_mode & 0o007 == 0


def test_change_records_delete_the_old_value_and_add_the_new(tmp_path: Path) -> None:
    write(tmp_path, *person(), *person(guid="AAAAAAAAAAAAAAAAAAAAAA==", dn="CN=Łuk,OU=P,DC=x"))
    opened = directory(tmp_path)

    opened.close([CloseAccount(account) for account in opened.read_all().accounts])

    first, second, third = (tmp_path / "directory.ldif.changes.ldif").read_text().strip().split("\n\n")
    change = (
        "changetype: modify",
        "delete: userAccountControl",
        "userAccountControl: 512",
        "-",
        "add: userAccountControl",
        "userAccountControl: 514",
        "-",
    )
    assert first == "version: 1"
    assert second.splitlines() == [f"dn:: {_base64('CN=Łuk,OU=P,DC=x'.encode())}", *change]
    assert third.splitlines() == ["dn: CN=Nora,OU=P,DC=x", *change]


def test_a_record_left_by_a_crash_before_the_change_is_not_repeated(tmp_path: Path) -> None:
    file = write(tmp_path, *person())
    before = file.read_bytes()
    opened = directory(tmp_path)
    item = CloseAccount(opened.read_all().accounts[0])
    opened.close([item])
    file.write_bytes(before)  # as if the process had died between record and change

    (outcome,) = opened.close([item])

    assert outcome.state is LegState.CLOSED
    assert (tmp_path / "directory.ldif.changes.ldif").read_text().count("changetype") == 1


def test_a_name_with_a_line_break_in_it_cannot_start_a_record_of_its_own(tmp_path: Path) -> None:
    evil = "Q049YQpjaGFuZ2V0eXBlOiBkZWxldGUKLE9VPVAsREM9eA=="
    write(tmp_path, f"dn:: {evil}", *person()[1:])
    opened = directory(tmp_path)

    opened.close([CloseAccount(opened.read_all().accounts[0])])

    assert "changetype: delete" not in (tmp_path / "directory.ldif.changes.ldif").read_text()


def test_the_change_records_replayed_against_a_real_active_directory_disable_there(
    samba: SambaDc, tmp_path: Path
) -> None:
    ldapmodify = require("ldapmodify", "ldap-utils")
    ou = samba.add_ou("Eltern\\, frühere")
    username = f"u{uuid.uuid4().hex[:12]}"
    dn = samba.add_user(username, ou=ou, cn="Xu, Łukasz")
    guid = samba.read(dn, "objectGUID")["objectGUID"][0]
    write(tmp_path, f"dn: {dn}", "objectClass: user", f"objectGUID:: {_base64(guid)}", "userAccountControl: 512", "")
    opened = directory(tmp_path, base=samba.base, managed=(samba.base,))
    opened.close([CloseAccount(opened.read_all().accounts[0])])
    environment = os.environ | {"LDAPTLS_CACERT": str(samba.ca_file), "LDAPTLS_REQCERT": "demand"}
    (tmp_path / "password").write_text(samba.admin_password)

    replay = (ldapmodify, "-H", samba.url, "-D", samba.admin_dn, "-y", str(tmp_path / "password"), "-x", "-f",
              str(tmp_path / "directory.ldif.changes.ldif"))  # fmt: skip
    first = subprocess.run(replay, env=environment, capture_output=True, check=False)
    code = samba.bind_code(username)
    samba.modify(dn, {"userAccountControl": [("MODIFY_REPLACE", ["66048"])]})
    second = subprocess.run(replay, env=environment, capture_output=True, check=False)

    assert first.returncode == 0, first.stderr
    assert code == "533"
    assert second.returncode == 16  # noSuchAttribute: the entry is not as the record says it was
    assert samba.bind_code(username) == ""


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


# --- two processes ----------------------------------------------------------------------------------------------


def _close_one(folder: Path, number: int) -> None:
    opened = directory(folder)
    guid = str(uuid.UUID(int=number))
    deadline = time.monotonic() + 30
    (account,) = opened.read_some([guid])
    while time.monotonic() < deadline:
        (outcome,) = opened.close([CloseAccount(account)])
        if outcome.state is LegState.CLOSED:
            return
    raise AssertionError(outcome)


def test_processes_that_write_at_the_same_time_lose_none_of_their_changes(tmp_path: Path) -> None:
    people = [
        line
        for number in range(8)
        for line in person(guid=_base64(uuid.UUID(int=number).bytes_le), dn=f"CN=n{number},OU=P,DC=x")
    ]
    write(tmp_path, *people)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_close_one, args=(tmp_path, number)) for number in range(8)]

    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0] * 8
    assert not any(account.enabled for account in accounts(tmp_path))
    assert (tmp_path / "directory.ldif.changes.ldif").read_text().count("changetype: modify") == 8
