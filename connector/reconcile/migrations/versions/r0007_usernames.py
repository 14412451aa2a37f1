"""Under which names the people of the admin system are known: no provider takes one of theirs for somebody new."""

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None


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
