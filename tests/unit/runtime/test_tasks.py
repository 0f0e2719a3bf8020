import asyncio

from brokerage.runtime.tasks import cancellation_kept


async def test_cancellation_that_comes_together_with_the_answer_is_not_lost() -> None:
    answered = asyncio.get_running_loop().create_future()
    went_on = False

    async def ask() -> None:
        nonlocal went_on
        with cancellation_kept():
            await asyncio.wait_for(answered, 30)
        went_on = True

    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask())
        await asyncio.sleep(0)
        answered.set_result(None)
        asking.cancel()

    assert asking.cancelled()
    assert not went_on


async def test_what_is_done_after_a_cancellation_is_not_cut_off_by_it() -> None:
    cleaned_up = False

    async def work() -> None:
        nonlocal cleaned_up
        try:
            await asyncio.Event().wait()
        finally:
            with cancellation_kept():
                await asyncio.sleep(0)
            cleaned_up = True

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        await asyncio.sleep(0)
        working.cancel()

    assert cleaned_up
