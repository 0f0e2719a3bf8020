"""`python -m bench`: every measurement, one after the other."""

from bench.orders import app

if __name__ == "__main__":
    app()
