"""`python -m devstack.sdk_download FOLDER VERSION`: have Temporal's SDK fetch its server.

The SDK downloads as part of starting a test server; the binary stays in FOLDER, the server goes.
"""

import asyncio
import sys

from temporalio.testing import WorkflowEnvironment


async def download(folder: str, version: str) -> None:
    """Leave the server's binary in `folder`."""
    async with await WorkflowEnvironment.start_local(
        download_dest_dir=folder, dev_server_download_version=version
    ):
        return


if __name__ == "__main__":
    asyncio.run(download(sys.argv[1], sys.argv[2]))
