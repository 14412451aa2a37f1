"""Users and Groups as an identity provider sees them, who may call, and the people they are about."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

SEARCHABLE = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the tables. What is there stays as it is."""
    _users()
    _emails()
    _groups()
    _members()
    _counts()
    _people()
    _clients()
    _tokens()
    _closings()


def _users() -> None:
    op.create_table(
        "scim_users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("user_name_key", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("code_key", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("pending", sa.Text(), nullable=False),
        sa.Column("pending_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("search", SEARCHABLE, nullable=False),
        sa.Column("mirror_digest", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_users")),
        sa.UniqueConstraint("person_id", name=op.f("uq_scim_users_person_id")),
        sa.UniqueConstraint("position", name=op.f("uq_scim_users_position")),
        sa.UniqueConstraint("user_name_key", name=op.f("uq_scim_users_user_name_key")),
    )
    op.create_index(op.f("ix_scim_users_code_key"), "scim_users", ["code_key"])
    op.create_index(op.f("ix_scim_users_external_id"), "scim_users", ["external_id"])
    op.create_index(op.f("ix_scim_users_pending_since"), "scim_users", ["pending_since"])


def _emails() -> None:
    op.create_table(
        "scim_emails",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("value_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["scim_users.id"], name=op.f("fk_scim_emails_user_id_scim_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "value_key", name=op.f("pk_scim_emails")),
    )
    op.create_index(op.f("ix_scim_emails_value_key"), "scim_emails", ["value_key"])


def _groups() -> None:
    op.create_table(
        "scim_groups",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("portal", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("display_key", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("search", SEARCHABLE, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_groups")),
        sa.UniqueConstraint("position", name=op.f("uq_scim_groups_position")),
    )
    op.create_index(op.f("ix_scim_groups_display_key"), "scim_groups", ["display_key"])
    op.create_index(op.f("ix_scim_groups_external_id"), "scim_groups", ["external_id"])
    op.create_index(op.f("ix_scim_groups_portal"), "scim_groups", ["portal"])


def _members() -> None:
    op.create_table(
        "scim_members",
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["scim_groups.id"], name=op.f("fk_scim_members_group_id_scim_groups"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["scim_users.id"], name=op.f("fk_scim_members_user_id_scim_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_scim_members")),
    )
    op.create_index(op.f("ix_scim_members_user_id"), "scim_members", ["user_id"])


def _counts() -> None:
    op.create_table(
        "scim_counts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_scim_counts")),
    )


def _people() -> None:
    op.create_table(
        "scim_people",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("code_key", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("entitled", sa.Text(), nullable=False),
        sa.Column("usernames", sa.Text(), nullable=False),
        sa.Column("humans", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_scim_people")),
    )
    op.create_index(op.f("ix_scim_people_code_key"), "scim_people", ["code_key"])
    op.create_index(op.f("ix_scim_people_email_key"), "scim_people", ["email_key"])


def _clients() -> None:
    op.create_table(
        "scim_clients",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("strict", sa.Boolean(), nullable=False),
        sa.Column("per_minute", sa.Integer(), nullable=False),
        sa.Column("per_hour", sa.Integer(), nullable=False),
        sa.Column("networks", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_scim_clients")),
    )


def _tokens() -> None:
    op.create_table(
        "scim_tokens",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client"], ["scim_clients.name"], name=op.f("fk_scim_tokens_client_scim_clients")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_scim_tokens_token_hash")),
    )
    op.create_index(op.f("ix_scim_tokens_client"), "scim_tokens", ["client"])


def _closings() -> None:
    op.create_table(
        "scim_closings",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("portal", sa.Text(), nullable=False),
        sa.Column("sourced", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_closings")),
    )
    op.create_index(op.f("ix_scim_closings_at"), "scim_closings", ["at"])
    op.create_index(op.f("ix_scim_closings_client"), "scim_closings", ["client"])
    op.create_index(op.f("ix_scim_closings_done_at"), "scim_closings", ["done_at"])
    op.create_index(op.f("ix_scim_closings_person_id"), "scim_closings", ["person_id"])
