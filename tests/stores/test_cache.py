"""What the cache keeps, for how long, and what it must not keep; with a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from guarita.stores.base import Grant, Record
from guarita.stores.cache import Cache, name_of_subject


@dataclass(eq=False)
class Ear:
    ended: bool = False


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def cache(clock: Clock, ear: Ear) -> Cache:
    cache = Cache(age_s=2, most=3, ears=1, clock=clock)
    cache.hears(ear)
    return cache


def record(id: UUID | None = None, subject: str = "ana") -> Record:
    return Record(id or uuid4(), 0, 0, Grant("acme", subject=subject), used=True)


def kept(cache: Cache, subject: str = "ana") -> bytes:
    """The id of a record that the cache was given just now."""
    one = record(subject=subject)
    cache.keep(one, cache.ask())
    return one.id.bytes


def test_what_was_kept_is_known_for_its_age_and_no_longer(cache, clock):
    id = kept(cache)
    clock.now_s += 1.999
    assert cache.get(id) is not None
    clock.now_s += 0.001
    assert cache.get(id) is None


def test_the_age_counts_from_the_question_and_not_from_the_answer(cache, clock):
    asked, one = cache.ask(), record()
    clock.now_s += 1.5
    cache.keep(one, asked)
    clock.now_s += 0.5
    assert cache.get(one.id.bytes) is None


def test_being_read_makes_nothing_live_longer(cache, clock):
    id = kept(cache)
    for _ in range(4):
        clock.now_s += 0.5
        cache.get(id)
    assert cache.get(id) is None


def test_a_full_cache_forgets_the_oldest(cache):
    ids = [kept(cache) for _ in range(5)]
    assert [cache.get(id) is not None for id in ids] == [False, False, True, True, True]


def test_what_is_too_old_takes_no_room(cache, clock):
    for _ in range(3):
        kept(cache)
    clock.now_s += 2
    kept(cache)
    assert len(cache._entries) == 1


def test_what_was_asked_for_again_is_kept_once_and_is_not_the_oldest(cache):
    one = record()
    cache.keep(one, cache.ask())
    other = kept(cache)
    cache.keep(one, cache.ask())
    assert len(cache._entries) == 2
    for _ in range(2):
        kept(cache)
    assert cache.get(one.id.bytes) is not None
    assert cache.get(other) is None


def test_a_revoked_id_is_forgotten_and_no_other(cache):
    one, other = kept(cache), kept(cache)
    cache.drop(one)
    assert cache.get(one) is None
    assert cache.get(other) is not None


def test_a_revoked_subject_is_forgotten_with_all_it_has(cache):
    one, other, stranger = kept(cache), kept(cache), kept(cache, subject="bea")
    cache.drop(name_of_subject("acme", "ana"))
    assert (cache.get(one), cache.get(other)) == (None, None)
    assert cache.get(stranger) is not None


def test_the_same_subject_of_another_tenant_is_somebody_else(cache):
    id = kept(cache)
    cache.drop(name_of_subject("other", "ana"))
    assert cache.get(id) is not None


def test_nothing_stays_of_what_was_forgotten(cache, clock):
    for _ in range(10):
        kept(cache)
    cache.drop(name_of_subject("acme", "ana"))
    assert not cache._entries
    assert not cache._of_subject


def test_an_answer_from_before_a_revocation_is_not_kept(cache):
    one = record()
    asked = cache.ask()
    cache.drop(one.id.bytes)  # while the answer was on its way
    cache.keep(one, asked)
    assert cache.get(one.id.bytes) is None


def test_an_answer_from_while_nobody_listened_is_not_kept(cache, ear):
    one = record()
    cache.misses(ear)
    asked = cache.ask()
    cache.hears(ear)
    cache.keep(one, asked)
    assert cache.get(one.id.bytes) is None


def test_an_ear_that_may_miss_something_empties_the_cache_until_it_hears(cache, ear):
    id = kept(cache)
    cache.misses(ear)
    assert cache.get(id) is None
    assert cache.get(kept(cache)) is None
    cache.hears(ear)
    assert cache.get(id) is None
    assert cache.get(kept(cache)) is not None


def test_all_ears_must_hear(clock):
    cache = Cache(age_s=2, most=3, ears=2, clock=clock)
    one, other = Ear(), Ear()
    cache.hears(one)
    cache.hears(one)
    assert cache.get(kept(cache)) is None
    cache.hears(other)
    assert cache.get(kept(cache)) is not None


def test_an_ear_that_ended_counts_no_more(cache, ear):
    cache.misses(ear)
    ear.ended = True
    cache.hears(ear)  # its thread had not noticed yet
    assert cache.get(kept(cache)) is None


def test_an_ear_that_ended_long_ago_takes_nothing_from_the_next_one(cache, ear):
    cache.misses(ear)
    cache.hears(Ear())
    id = kept(cache)
    cache.misses(ear)  # its thread ends
    assert cache.get(id) is not None


def test_a_cache_without_ears_keeps_nothing(clock):
    cache = Cache(age_s=2, most=3, clock=clock)
    assert cache.get(kept(cache)) is None
    assert not cache._entries
