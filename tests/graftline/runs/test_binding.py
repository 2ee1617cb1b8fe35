"""A name belongs to the data that it first ran with."""

from pathlib import Path

import pytest

from graftline.base.errors import UserError
from graftline.runs import binding
from graftline.serving import versions
from graftline.settings.settings import Settings
from tests.past import settings_of


def of(root: Path, dataset: str, adopt: bool = False, labels: Path | None = None) -> Settings:
    run = {"root": root, "serving_dir": root / "serving", "adopt": adopt}
    return settings_of(root, data={"dataset": dataset, "labels": labels}, run=run)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "a", tmp_path / "b"]
    for folder in made:
        for name in ("cat", "dog"):
            (folder / name).mkdir(parents=True)
            for number in range(2):
                (folder / name / f"{number}.jpg").write_bytes(b"a photo")
    return made


def test_the_same_data_again_is_fine(tmp_path: Path) -> None:
    binding.bind(of(tmp_path, "digits"))
    binding.bind(of(tmp_path, "digits"))
    assert [path.name for path in (tmp_path / "serving/digits").iterdir()] == [binding.DATASET]
    assert versions.versions(tmp_path / "serving/digits") == []


def test_the_same_folder_with_another_table_of_classes_is_other_data(tmp_path: Path, folders: list[Path]) -> None:
    for name in ("colours", "kinds"):
        (tmp_path / f"{name}.csv").write_text(
            "".join(f"{path},{path.parent.name}\n" for path in folders[0].glob("*/*"))
        )
    tables = [of(tmp_path, f"folder:{folders[0]}", labels=tmp_path / f"{name}.csv") for name in ("colours", "kinds")]
    binding.bind(tables[0])
    binding.bind(tables[0])
    with pytest.raises(
        UserError, match=r"dataset folder:.*/a with .*/colours.csv, but this run uses .*/kinds.csv: give"
    ):
        binding.bind(tables[1])


def test_other_data_under_the_same_name_is_refused_until_it_is_adopted(tmp_path: Path, folders: list[Path]) -> None:
    one, other = (f"folder:{folder}" for folder in folders)
    binding.bind(of(tmp_path, one))
    with pytest.raises(UserError, match=f"The name digits belongs to the dataset {one}, but this run uses {other}"):
        binding.bind(of(tmp_path, other))
    binding.bind(of(tmp_path, one))
    binding.bind(of(tmp_path, other, adopt=True))
    binding.bind(of(tmp_path, other))
    with pytest.raises(
        UserError,
        match="give the configuration another name or, if this is the same data in another place, run once with --adopt",
    ):
        binding.bind(of(tmp_path, one))


def test_a_folder_is_the_same_however_its_path_is_written(tmp_path: Path, folders: list[Path]) -> None:
    binding.bind(of(tmp_path, f"folder:{folders[0]}"))
    binding.bind(of(tmp_path, f"folder:{tmp_path}/b/../a/"))
