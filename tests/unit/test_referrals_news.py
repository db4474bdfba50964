"""Word that there are new facts."""

import asyncio

from services.referrals.news import News, heard


async def test_news_between_the_look_and_the_wait_is_not_missed() -> None:
    """Whoever took the bell before it looked hears what rang meanwhile."""
    news = News()
    bell = news.bell
    news.ring()
    assert await heard(bell, within=60)


async def test_every_waiter_is_woken() -> None:
    """One ring wakes all who wait."""
    news = News()
    waiting = [asyncio.create_task(heard(news.bell, within=60)) for _ in range(3)]
    await asyncio.sleep(0)
    news.ring()
    assert [True] * 3 == await asyncio.gather(*waiting)


async def test_old_news_does_not_wake_again() -> None:
    """The bell that is taken after a ring is silent."""
    news = News()
    news.ring()
    assert not await heard(news.bell, within=0)
