"""What may be forgotten: nothing that the last thing known of a door, a restore or a certificate rests on."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.reconcile.forgetting import Effect, Forgotten, OldRevocation, forgotten

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
DOOR, OTHER = ("directory", "ad", "g1"), ("credential", "engage", "p1")


def at(hour: int) -> datetime:
    return BEGIN + timedelta(hours=hour)


def revocation(number: int, hours: tuple[int, int | None], key: str = "p1", *, over: bool = True) -> OldRevocation:
    done = None if hours[1] is None else at(hours[1])
    return OldRevocation(number, key, over and done is not None, at(hours[0]), done)


def closing(number: int, hour: int, door: tuple[str, str, str] = DOOR) -> Effect:
    return Effect(door, at(hour), closing=True, number=number)


def opening(number: int, hour: int, door: tuple[str, str, str] = DOOR) -> Effect:
    return Effect(door, at(hour), closing=False, number=number)


def change(number: int, hour: int, *, closing: bool) -> Effect:
    return Effect(OTHER, at(hour), closing=closing, number=number, is_change=True)


def test_what_we_closed_last_is_remembered_for_ever() -> None:
    gone = forgotten([revocation(1, (0, 1))], (), [closing(1, 1)], ())

    assert gone == Forgotten()


def test_an_older_closing_of_the_same_door_is_forgotten() -> None:
    rows = [revocation(1, (0, 1)), revocation(2, (5, 6))]

    gone = forgotten(rows, (), [closing(1, 1), closing(2, 6)], ())

    assert revocations_of(gone) == (1,)


def test_a_closing_that_was_undone_goes_and_the_restore_goes_after_it() -> None:
    rows = [revocation(1, (0, 1)), revocation(2, (5, 6))]

    gone = forgotten(rows, (), [closing(1, 1), opening(2, 6)], ())

    assert revocations_of(gone) == (1, 2)


def test_a_restore_stays_while_what_it_undid_must_stay() -> None:
    rows = [revocation(1, (0, 1)), revocation(2, (5, 6))]

    gone = forgotten(rows, (), [closing(1, 1), opening(2, 6)], {"p1"})

    assert revocations_of(gone) == ()


def test_what_overlaps_with_a_closing_that_stays_is_one_closing_with_it() -> None:
    rows = [revocation(1, (0, 1)), revocation(2, (2, 6)), revocation(3, (5, 8))]

    gone = forgotten(rows, (), [closing(1, 1), closing(2, 6, OTHER), closing(3, 8), closing(3, 8, OTHER)], ())

    assert revocations_of(gone) == (1,)


def test_what_came_after_a_closing_that_stays_stays_too() -> None:
    rows = [revocation(1, (0, 1)), revocation(2, (5, 6)), revocation(3, (9, 9))]

    gone = forgotten(rows, (), [closing(1, 1), closing(1, 1, OTHER), opening(2, 6, OTHER)], ())

    assert revocations_of(gone) == ()


def test_what_is_open_or_young_keeps_what_came_after_it_only() -> None:
    rows = [revocation(1, (0, 1)), revocation(2, (5, None)), revocation(3, (9, 10), key="p2")]

    gone = forgotten(rows, (), [], ())

    assert revocations_of(gone) == (1, 3)


def test_an_addition_is_forgotten_unless_a_closing_before_it_stays() -> None:
    young = revocation(1, (0, 1), over=False)

    free = forgotten([], (7,), [change(7, 5, closing=False)], ())
    bound = forgotten([young], (7,), [closing(1, 1, OTHER), change(7, 5, closing=False)], ())
    disabled = forgotten([], (7,), [change(7, 5, closing=True)], ())

    assert (free.other_changes, bound, disabled) == ((7,), Forgotten(), Forgotten())


def revocations_of(gone: Forgotten) -> tuple[int, ...]:
    return tuple(sorted(gone.closing_revocations + gone.other_revocations))


def closed_doors(effects: list[Effect]) -> set[tuple[str, str, str]]:
    """Give the doors whose last effect is a closing, as the memory of a run tells it."""
    last: dict[tuple[str, str, str], Effect] = {}
    for effect in sorted(effects, key=lambda one: (one.at, one.is_change, one.number)):
        last[effect.door] = effect
    return {door for door, effect in last.items() if effect.closing}


History = list[tuple[bool, bool, bool, str, set[tuple[str, str, str]]]]
HISTORIES = st.lists(
    st.tuples(
        st.booleans(),  # a change of memberships, or a revocation
        st.booleans(),  # a closing
        st.booleans(),  # old
        st.sampled_from(("p1", "p2")),
        st.sets(st.sampled_from((DOOR, OTHER, ("directory", "ad", "g2"))), max_size=3),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(HISTORIES)
def test_whatever_happened_the_same_doors_are_known_to_be_closed_by_us(history: History) -> None:
    rows, old, effects = [], [], []
    for number, (is_change, closes, is_old, key, doors) in enumerate(history):
        if is_change:
            old += [number] if is_old else []
            doors = doors and {OTHER}  # noqa: PLW2901 - a change is of a membership
        else:
            rows.append(revocation(number, (number, number + 2), key, over=is_old))
        effects += [Effect(door, at(number + 1), closes, number, is_change) for door in doors]

    gone = forgotten(rows, old, effects, ())

    order = [(False, n) for n in gone.closing_revocations] + [(True, n) for n in gone.closing_changes]
    order += [(False, n) for n in gone.other_revocations] + [(True, n) for n in gone.other_changes]
    for done in range(len(order) + 1):  # also between two transactions
        left = [effect for effect in effects if effect.source not in order[:done]]
        assert closed_doors(left) == closed_doors(effects)
    rows = [row for row in rows if (False, row.number) not in order]
    assert forgotten(rows, [n for n in old if (True, n) not in order], left, ()) == Forgotten()
