"""`python -m bench.prices`: how many viewers one node carries, and how old what they see is."""

from bench.prices.command import app

if __name__ == "__main__":
    app()
