"""`python -m bench.scale`."""

from bench.scale.command import app

if __name__ == "__main__":
    app()
