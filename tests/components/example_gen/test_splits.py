"""Which split an image belongs to."""

import itertools
from collections import Counter

import pytest

from components.example_gen.splits import LOWEST, Digests, TallyFn, digest_of, free_splits, lent, split_of
from graftline.artifacts.examples import SPLITS, TEST, TRAIN, VALIDATION
from graftline.settings.data import Splits


def test_splits_get_their_fractions():
    splits = Splits(train=0.5, validation=0.3, test=0.2)
    counts = Counter(split_of(digest_of(str(i).encode()), splits) for i in range(10_000))
    assert [counts[name] for name in SPLITS] == pytest.approx([5000, 3000, 2000], abs=150)


def test_an_image_keeps_its_split_from_version_to_version():
    found = [split_of(digest_of(str(i).encode()), Splits()) for i in range(10)]
    others = {2: "validation", 5: "test", 6: "test"}
    assert found == [others.get(i, "train") for i in range(10)]


def placed(digests: list[str], free: tuple[str, ...] = SPLITS) -> dict[str, str]:
    """Returns the split of each image of a class."""
    own = {digest: split_of(digest, Splits(), free) for digest in digests}
    held = {split: sorted(Digests(one, one) for one in own if own[one] == split)[:LOWEST] for split in free}
    return own | {digests.original: split for digests, split in lent(held, free).items()}


def named(positions: str) -> list[str]:
    """Returns hashes, from the lowest to the highest, by the splits that they belong to, one letter each."""
    at = {"t": 0, "v": 0xD, "s": 0xF}  # of 16: train up to 12.8, validation up to 14.4
    return [f"{at[letter]:x}{number:063x}" for number, letter in enumerate(positions)]


@pytest.mark.parametrize(
    ("belong", "found"),
    [
        ("tttvvs", "tttvvs"),
        ("tttt", "svtt"),
        ("tttv", "sttv"),
        ("ttts", "vtts"),
        ("tvv", "stv"),
        ("tss", "tvs"),
        ("vvv", "stv"),
        ("sss", "vts"),
        ("tt", "st"),
        ("tv", "st"),
        ("vv", "st"),
        ("ss", "ts"),
        ("t", "t"),
        ("s", "t"),
    ],
)
def test_a_class_lends_its_lowest_images_to_splits_that_have_none(belong, found):
    splits = {"t": TRAIN, "v": VALIDATION, "s": TEST}
    assert list(placed(named(belong)).values()) == [splits[letter] for letter in found]


def test_classes_of_three_images_or_more_are_in_every_split_and_many_are_as_their_hashes_say():
    for size in (3, 4, 5, 10, 30):
        for number in range(200):
            digests = [digest_of(f"{number} {i}".encode()) for i in range(size)]
            assert set(placed(digests).values()) == set(SPLITS)
    digests = [digest_of(str(i).encode()) for i in range(200)]
    assert placed(digests) == {digest: split_of(digest, Splits()) for digest in digests}


def test_as_a_class_grows_that_has_an_image_of_its_own_to_train_on_none_goes_from_training_to_test():
    for number in range(300):
        digests = [digest_of(f"{number} {i}".encode()) for i in range(40)]
        known = next(size for size in range(2, 40) if TRAIN in {split_of(one, Splits()) for one in digests[:size]})
        for smaller, larger in itertools.pairwise(placed(digests[:size]) for size in range(known, 41)):
            assert not [one for one, split in smaller.items() if split == TRAIN and larger[one] == TEST]


@pytest.mark.parametrize(
    ("given", "free"),
    [
        ((), SPLITS),
        ((TRAIN, TEST), (TRAIN, VALIDATION)),
        ((TRAIN, VALIDATION), (TRAIN, TEST)),
        ((TRAIN, VALIDATION, TEST), (TRAIN,)),
    ],
)
def test_what_a_dataset_does_not_give_is_drawn_from_its_training_images(given, free):
    assert free_splits(given) == free
    splits = Splits(train=0.6, validation=0.3, test=0.1)
    counts = Counter(split_of(digest_of(str(i).encode()), splits, free) for i in range(10_000))
    together = sum(getattr(splits, name) for name in free)
    assert set(counts) == set(free)
    assert [counts[name] for name in free] == pytest.approx(
        [10_000 * getattr(splits, name) / together for name in free], abs=150
    )
    for size in (3, 10):
        for number in range(100):
            assert set(placed([digest_of(f"{number} {i}".encode()) for i in range(size)], free).values()) == set(free)
    assert lent({}, free) == {}


def test_copies_count_once_among_the_lowest():
    tally = TallyFn()
    parts = [tally.add_input(tally.create_accumulator(), digest) for digest in map(Digests, *["bbaacbde"] * 2)]
    assert tally.extract_output(tally.merge_accumulators(parts)) == (8, tuple(map(Digests, "abc", "abc")))
