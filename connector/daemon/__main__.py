"""`python -m connector.daemon CONFIG`: the daemon as one of several processes that are watched together."""

import os
import sys
from pathlib import Path

from connector.daemon.starting import beside, start
from connector.errors import ConnectorError

if __name__ == "__main__":
    try:
        sys.exit(start(Path(sys.argv[1]), lives=beside(os.getppid())))
    except ConnectorError as error:
        sys.exit(str(error))
