"""Under which names the people of the admin system are known: no provider takes one of theirs for somebody new.

From here on names are compared without marks nobody sees; keys that were written before are brought to that form.
"""

from unicodedata import category, normalize

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

# Each with what tells one row, and where two must not have the same key.
_KEYS = (
    ("scim_users", "user_name_key", ""),
    ("scim_emails", "value_key", "user_id"),
    ("scim_groups", "display_key", "id"),
)


def upgrade() -> None:
    """Make the table. The next mirroring writes everybody anew, and with them their names."""
    op.create_table(
        "scim_usernames",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "name_key", name=op.f("pk_scim_usernames")),
    )
    op.create_index(op.f("ix_scim_usernames_name_key"), "scim_usernames", ["name_key"])
    op.execute("UPDATE scim_people SET digest = ''")
    for table, key, within in _KEYS:
        _show_plainly(sa.table(table, sa.column(key), sa.column(within or key)), key, within or key)


def _show_plainly(table: sa.TableClause, key: str, within: str) -> None:
    """Take hidden marks out of a table's keys. One that another row has by then stays: both were let in."""
    conn, column = op.get_bind(), table.c[key]
    for old in conn.scalars(sa.select(column).distinct()).all():
        plain = "".join(character for character in old if character.isascii() or category(character) != "Cf")
        if plain != old:
            new, other = normalize("NFC", " ".join(plain.split())), table.alias("other")
            taken = sa.select(other.c[key]).where(other.c[key] == new)
            if within != key:
                taken = taken.where(other.c[within] == table.c[within])
            conn.execute(sa.update(table).where(column == old, ~sa.exists(taken)).values({key: new}))
