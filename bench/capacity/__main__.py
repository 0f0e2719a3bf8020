"""`python -m bench.capacity`."""

from bench.capacity.command import app

if __name__ == "__main__":
    app()
