"""`python -m seedbed.cli`, as the script `seedbed`."""

from seedbed.cli import app

if __name__ == "__main__":
    app()
