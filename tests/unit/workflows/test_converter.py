"""Values to Temporal and back."""

import subprocess
import sys

from tests.support.running import ROOT


def test_threads_that_read_a_type_for_the_first_time_together_all_read_it() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.decoding_at_once"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
