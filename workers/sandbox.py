"""How workflow code is run: fast in production, suspicious in tests."""

from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions


def production_runner() -> WorkflowRunner:
    """Without the sandbox: it doubles the processor time of an order and finds nothing there that
    the replay tests have not found before.
    """
    return UnsandboxedWorkflowRunner()


def replay_runner() -> WorkflowRunner:
    """With it, so that a test fails where workflow code is not deterministic."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            "brokerage", "activities", "msgspec"
        )
    )
