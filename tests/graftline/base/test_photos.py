"""Every file below a folder of photos is found once and classified."""

from graftline.base import photos
from tests.graftline.sources.test_checks import PETS, make


def test_of_a_folder_with_spans_the_newest_is_read_or_the_one_asked_for(tmp_path):
    for span in ("span-9", "span-10", "span-x", "span-11.part"):
        make(tmp_path / span, *PETS)
    assert photos.span_folder(tmp_path, photos.LATEST) == tmp_path / "span-10"
    assert photos.span_folder(tmp_path, "9") == tmp_path / "span-9"
    assert photos.span_folder(tmp_path / "span-x", photos.LATEST) == tmp_path / "span-x"


def test_images_other_files_and_what_nobody_means_are_told_apart(tmp_path):
    folder = make(
        tmp_path / "cats", "1.jpg", "deep/2.HEIC", "film.MOV", "deep/film.aae", "README", ".DS_Store", "Thumbs.db"
    )
    make(folder, ".trash/1.jpg", ".trash/deep/2.jpg", "deep/@eaDir/1.jpg/thumb.jpg", "__MACOSX/._1.jpg", "._1.jpg")
    found = photos.walk(folder)
    assert found.images == [folder / "1.jpg", folder / "deep/2.HEIC"]
    assert found.others == {
        folder / "film.MOV": ".mov",
        folder / "deep/film.aae": ".aae",
        folder / "README": photos.NO_SUFFIX,
    }
    assert found.skipped == {photos.HIDDEN: 4, photos.LITTER: 3}


def test_links_are_followed_but_not_in_a_circle_nor_to_nothing(tmp_path):
    folder = make(tmp_path / "cats", "1.jpg")
    make(tmp_path / "elsewhere", "2.jpg", "deep/3.jpg")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "4.jpg").symlink_to(tmp_path / "elsewhere/2.jpg")
    (tmp_path / "elsewhere/back").symlink_to(folder)
    (folder / "self.jpg").symlink_to(folder / "self.jpg")
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    found = photos.walk(folder)
    assert found.images == [folder / name for name in ("1.jpg", "4.jpg", "more/2.jpg", "more/deep/3.jpg")]
    assert found.others == {
        folder / "more/back": photos.LOOP,
        folder / "self.jpg": photos.DANGLING,
        folder / "gone": photos.DANGLING,
    }
