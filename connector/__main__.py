"""`python -m connector`: the command line, where no script was installed."""

from connector.cli import main

if __name__ == "__main__":
    main()
