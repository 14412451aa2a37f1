"""Sessions under what two people are known by: never ended for one of them, and never passed over in silence."""

import pytest

from connector.model import LegKind, SessionKey
from connector.reconcile.orders import Meant, rows_with_what_stays
from connector.reconcile.plan_values import PlannedLeg
from tests.reconcile.build import SchoolBuilder, school

HOME = "home@mail.example"


def parted() -> SchoolBuilder:
    """Give parents who live apart and share an e-mail; one is barred, and sessions are known by e-mail."""
    one = school().store("web", SessionKey.EMAIL).student()
    one.contact("p1", of="s1", restricted=True, email=HOME).member("p1")
    return one.contact("p2", of="s1", email=HOME).member("p2")


def withheld(one: SchoolBuilder, key: str = "p1") -> list[PlannedLeg]:
    judged = one.judge()
    identity = judged.decisions.correlation.by_key()[key]
    rows = rows_with_what_stays(judged.judgement, Meant((identity,)))
    return [leg for row in rows for leg in row.legs if leg.kind is LegKind.SESSIONS and leg.withheld]


@pytest.mark.parametrize("user", [HOME, "HOME@mail.example"])
def test_a_certificate_names_the_live_sessions_an_entitled_person_may_be_in(user: str) -> None:
    (leg,) = withheld(parted().session(user=user))

    assert (leg.target, leg.subject) == ("web", HOME)
    assert leg.withheld == f"sessions under {HOME} may be of Cp2: ask who shares it to sign out everywhere"


def test_it_names_none_where_none_lives() -> None:
    assert withheld(parted().session(user="else@mail.example")) == []


def test_it_names_none_where_nobody_entitled_shares_the_address() -> None:
    one = parted().session(user=HOME).change("p2", email="own@mail.example")

    assert withheld(one) == []
