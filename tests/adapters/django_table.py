"""Django's own session table, written with the real Django, in whatever database a test has."""

import os
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa

DJANGO_KEY = "django-insecure-throw-away-7f3a"
SALT = "django.contrib.sessions.SessionStore"


class DjangoTable:
    """`django_session` as Django's migration makes it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.table = sa.Table(
            "django_session",
            sa.MetaData(),
            sa.Column("session_key", sa.String(40), primary_key=True),
            sa.Column("session_data", sa.Text, nullable=False),
            sa.Column("expire_date", sa.DateTime(timezone=True), nullable=False),
        )
        self.table.create(self._engine)
        self._numbers = count(1)

    def put(self, session: dict[str, Any], *, key: str = DJANGO_KEY, salt: str = SALT, hours: float = 1) -> str:
        """Sign somebody in, as SessionBase.encode and the database backend do."""
        return self.put_raw(django_text(session, key=key, salt=salt), hours=hours)

    def put_raw(self, data: str, *, hours: float = 1) -> str:
        session_key = f"{next(self._numbers):04d}9f8e7d6c5b4a3928171605f4e3d2c1b0"
        expires = datetime.now(UTC) + timedelta(hours=hours)
        self.execute(self.table.insert().values(session_key=session_key, session_data=data, expire_date=expires))
        return session_key

    def save(self, session_key: str, session: dict[str, Any]) -> None:
        """Save it again, as a request does at its end."""
        mine = self.table.c.session_key == session_key
        self.execute(self.table.update().where(mine).values(session_data=django_text(session)))

    def execute(self, statement: sa.Executable) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)

    def ids(self) -> set[str]:
        with self._engine.begin() as connection:
            return set(connection.scalars(sa.select(self.table.c.session_key)))


def django_text(session: dict[str, Any], *, key: str = DJANGO_KEY, salt: str = SALT) -> str:
    """Give what Django signs for these values."""
    from django.conf import settings  # noqa: PLC0415 - Django is configured by its first import

    if not settings.configured:
        settings.configure(SECRET_KEY=os.urandom(8).hex())
    from django.contrib.sessions.serializers import JSONSerializer  # noqa: PLC0415 - as above
    from django.core import signing  # noqa: PLC0415 - as above

    return str(signing.dumps(session, key=key, salt=salt, serializer=JSONSerializer, compress=True))
