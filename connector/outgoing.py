"""Says for `check` whether what the daemon writes can leave: whether the mail server takes us, and what was not sent.

It signs in and sends nothing.
"""

from collections.abc import Iterator
from datetime import UTC, tzinfo

from connector.config import Config
from connector.errors import ConnectorError
from connector.model import Finding, Level
from connector.post import Mail, Post
from connector.reconcile.journal import Journal
from connector.reconcile.wording import clean, counted, moment


def findings(config: Config, journal: Journal) -> Iterator[Finding]:
    """Give what is to be said."""
    if (mail := config.reports.mail) is not None:
        yield _server(config, mail)
    yield from unsent(journal, config.site.zone)


def unsent(journal: Journal, zone: tzinfo = UTC) -> Iterator[Finding]:
    """Say what was tried and could not be sent yet."""
    waiting = [message for message in journal.duties.unsent() if message.problem]
    for channel in dict.fromkeys(message.channel for message in waiting):
        mine = [message for message in waiting if message.channel == channel]
        what = f"{counted(len(mine), 'message')} could not be sent since {moment(mine[0].put_at.astimezone(zone))}: "
        yield Finding(Level.WARNING, "outbox", what + clean(mine[-1].problem), "The daemon tries again for three days.")


def _server(config: Config, mail: Mail) -> Finding:
    try:
        with Post("[reports.mail]", "The report", mail, config.site, "No report is sent without it.").open():
            return Finding(Level.OK, "mail", f"The mail server {mail.host} takes reports.")
    except ConnectorError as error:
        return Finding(Level.WARNING, "mail", error.message, error.remedy)
