"""What an order leaves in Postgres is counted."""

from brokerage.storage.footprint import open_footprint
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.order_follower import place_resting


async def test_an_order_is_rows_transactions_and_log(stack: DevStack, alice: Account) -> None:
    async with open_footprint(stack.env["SHERWOOD_DATABASE_URL"]) as footprint:
        before = await footprint()
        await place_resting(alice.http)

        async def counted() -> bool:
            # Postgres tells what a session counted up to a second later.
            now = await footprint()
            # At least the order, two events and a hold; the log has each of them.
            return (
                now.rows >= before.rows + 4
                and now.commits >= before.commits + 3
                and now.log_bytes > before.log_bytes + 500
            )

        await eventually(counted, "all of it is counted")
        after = await footprint()

    # A vacuum may give back what others left.
    assert min(after.kept_bytes, before.kept_bytes) > 0
