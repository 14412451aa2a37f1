"""The one list of what is seen to beside the runs. Each errand has a module of its own; none knows of another."""

from connector.config import Config
from connector.daemon.digest import Digest
from connector.daemon.errand import Errand
from connector.daemon.housekeeping import Housekeeping
from connector.daemon.proving import Proving
from connector.daemon.reminding import Reminders
from connector.daemon.reporting import Reports
from connector.daemon.sending import Sending
from connector.daemon.summoning import Summoning
from connector.daemon.timing import Timing
from connector.daemon.untouched import Untouched


def errands(config: Config) -> tuple[Errand, ...]:
    """Give what this school has seen to, in the order in which it is asked."""
    del config  # nothing is asked of it yet
    told = (Summoning(), Reports(), Untouched(), Digest(), Reminders(), Sending())
    return (*told, Housekeeping(), Timing(), Proving())  # how long telling took is known when all have told
