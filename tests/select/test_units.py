import numpy as np
import pandas as pd
import pytest

from coreframe.tasks.kcenter.vectors import mean_vectors
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.preferences import weights
from coreframe.tasks.select.units import form_units
from tests.stores import measures


def frames(
    lengths: list[int], missing: tuple[int, ...] = ()
) -> tuple[pd.DataFrame, dict[int, int]]:
    rows = np.arange(sum(lengths))
    luminance, sharpness = measures(len(rows))
    table = pd.DataFrame(
        {
            "row": rows,
            "video": np.repeat(np.arange(len(lengths)), lengths),
            "digest": rows.astype(np.uint64) + 1,
            "suspect": False,
            "flat": False,
            "luminance": luminance,
            "sharpness": sharpness,
        }
    )
    starts = dict(enumerate(np.cumsum([0, *lengths[:-1]]).tolist()))
    return table[~table["row"].isin(missing)].reset_index(drop=True), starts


def test_without_wishes_every_distinct_frame_is_eligible() -> None:
    table, first = frames([7, 5])
    table.loc[9, "digest"] = table["digest"][2]
    units = form_units(table, first, Choice())
    assert units.rows.tolist() == list(range(12))
    assert np.flatnonzero(~units.eligible).tolist() == [9]
    assert units.weight is None
    assert (units.duplicates, units.rejected, units.loose) == (1, 0, 0)
    assert form_units(table, first, Choice(keep_exact_duplicates=True)).eligible.all()


def test_damaged_pictures_are_left_out_and_hide_no_sound_ones() -> None:
    table, first = frames([7, 5])
    table.loc[[2, 5], "suspect"] = True
    table.loc[9, "digest"] = table["digest"][2]  # a sound copy of a damaged one
    units = form_units(table, first, Choice())
    assert np.flatnonzero(~units.eligible).tolist() == [2, 5]
    assert (units.suspects, units.duplicates) == (2, 0)
    every = form_units(table, first, Choice(keep_suspect=True))
    assert np.flatnonzero(~every.eligible).tolist() == [9]
    assert (every.suspects, every.duplicates) == (0, 1)
    pairs = form_units(table, first, Choice(sequence_length=2))
    assert pairs.suspects == 4  # both frames of a sequence


def test_frames_that_show_nothing_are_left_out_of_choice_and_gaps() -> None:
    table, first = frames([7, 5])
    table.loc[[2, 5, 6], "flat"] = True
    table.loc[2, "suspect"] = True
    table.loc[9, "digest"] = table["digest"][5]
    units = form_units(table, first, Choice())
    assert units.flat.tolist() == [2, 5, 6]
    assert units.choosable.tolist() == units.measured.tolist() == [0, 1, 3, 4, 7, 8, 9, 10, 11]
    assert (units.suspects, units.flats, units.duplicates) == (1, 2, 0)
    every = form_units(table, first, Choice(keep_flat=True))
    assert len(every.measured) == 12
    assert (every.suspects, every.flats, every.duplicates) == (1, 0, 1)
    pairs = form_units(table, first, Choice(sequence_length=2))
    assert pairs.flat.tolist() == []  # something is shown by frames 3 and 4, and 6 is in none
    table.loc[4, "flat"] = True
    assert form_units(table, first, Choice(sequence_length=2)).flat.tolist() == [4]


def test_limits_are_inclusive_and_leave_out_duplicates_first() -> None:
    table, first = frames([40])
    table.loc[30, ["digest", "sharpness", "luminance"]] = table.loc[
        3, ["digest", "sharpness", "luminance"]
    ]
    low, high = float(table["sharpness"].median()), float(table["luminance"].max())
    low = float(table.loc[(table["sharpness"] - low).abs().argmin(), "sharpness"])
    choice = Choice(minimum={"sharpness": low, "luminance": 0.2}, maximum={"luminance": high})
    units = form_units(table, first, choice)
    good = (table["sharpness"] >= np.float32(low)) & (table["luminance"] >= np.float32(0.2))
    distinct = table.index != 30
    assert np.array_equal(units.eligible, (good & distinct).to_numpy())
    assert units.eligible[table.index[table["sharpness"] == np.float32(low)]].any()
    assert (units.duplicates, units.rejected) == (1, int((~good & distinct).sum()))


def test_sequences_are_whole_and_within_a_video() -> None:
    table, first = frames([11, 3, 8], missing=(5,))
    units = form_units(table, first, Choice(sequence_length=4))
    # v0 has 0..3 and the broken 4..7; 8..10 is too short, v1 too; v2 begins at row 14
    assert units.rows.tolist() == [0, 14, 18]
    assert units.video.tolist() == [0, 2, 2]
    assert units.loose == 21 - 12
    assert units.frames_of(np.array([14, 0])).tolist() == [14, 15, 16, 17, 0, 1, 2, 3]


def test_a_sequence_repeats_another_only_if_all_its_frames_do() -> None:
    table, first = frames([12])
    table.loc[4:7, "digest"] = table["digest"][0:4].to_numpy()
    table.loc[8:10, "digest"] = table["digest"][0:3].to_numpy()
    units = form_units(table, first, Choice(sequence_length=4))
    assert units.eligible.tolist() == [True, False, True]
    assert units.duplicates == 4


def test_one_bad_frame_rejects_its_sequence() -> None:
    table, first = frames([8])
    table["sharpness"] = [0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 0.5, 0.5]
    units = form_units(table, first, Choice(sequence_length=4, minimum={"sharpness": 0.2}))
    assert units.eligible.tolist() == [True, False]
    assert units.rejected == 4


def test_weights_are_as_documented() -> None:
    quality = np.array([0.1, 0.4, 0.2, 0.4, 9.0])
    eligible = np.array([True, True, True, True, False])
    share = np.array([0, 2 / 4, 1 / 4, 2 / 4])
    expected = np.rint(1024 * (1 - 0.6 * (1 - share))) ** 2
    assert weights([(quality, 0.6)], eligible)[:4].tolist() == expected.tolist()
    assert set(weights([(quality, 0.0)], eligible).tolist()) == {1024**2}


@pytest.mark.parametrize("length", [1, 2, 5])
def test_mean_vectors_are_unit_means(length: int) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lattice = np.rint(vectors * 4000).astype(np.int16)
    got = mean_vectors(lambda rows: lattice[rows], length)(np.array([0, 10, 15]))
    for place, start in enumerate((0, 10, 15)):
        mean = lattice[start : start + length].astype(np.float64).mean(axis=0)
        unit = lattice[start] if length == 1 else np.rint(mean / np.linalg.norm(mean) * 4000)
        assert got[place].tolist() == unit.tolist()
    opposite = np.array([[4000, 0], [-4000, 0]], np.int16)
    assert not mean_vectors(lambda rows: opposite[rows], 2)(np.array([0])).any()
