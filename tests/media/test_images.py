import numpy as np
import pytest
from PIL import Image

from plenodream.media.images import load_image
from plenodream.media.video import read_video


def write(folder, numbers, size=(48, 32), name="f_{}.png"):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        Image.fromarray(np.full((size[1], size[0], 3), number, np.uint8)).save(folder / name.format(number))


def values(clip):
    return clip.frames[:, 0, 0, 0].tolist()


def test_a_folder_is_in_the_order_of_its_numbers(tmp_path):
    write(tmp_path / "a", [2, 10, 9])
    (tmp_path / "a/notes.txt").write_text("left alone")
    clip = read_video(tmp_path / "a")
    assert values(clip) == [2, 9, 10] and clip.fps == 24 and clip.frames.shape == (3, 32, 48, 3)
    assert any("24 frames/s" in note for note in clip.notes)
    assert values(read_video(tmp_path / "a", max_frames=2)) == [2, 9]
    fitted = read_video(tmp_path / "a", size=(16, 16), fps=30)
    assert fitted.frames.shape == (3, 16, 16, 3) and fitted.source_size == (32, 48) and fitted.fps == 30


def test_a_pattern_takes_its_own_and_says_what_is_missing(tmp_path):
    write(tmp_path, [1, 2, 5])
    write(tmp_path, [7, 8], name="other_{}.png")
    clip = read_video(tmp_path / "f_%d.png")
    assert values(clip) == [1, 2, 5] and any("2 numbers missing" in note for note in clip.notes)


def test_grey_of_16_bits_keeps_its_levels(tmp_path):
    Image.fromarray(np.array([[0, 0x8012, 0xFFFF]], dtype=np.uint16)).save(tmp_path / "0.png")
    assert load_image(tmp_path / "0.png").tolist() == [[[0] * 3, [0x80] * 3, [255] * 3]]


def test_bad_images_get_one_clear_line(tmp_path):
    write(tmp_path / "sizes", [1])
    write(tmp_path / "sizes", [2], size=(48, 30))
    write(tmp_path / "damaged", [1, 2])
    (tmp_path / "damaged/f_2.png").write_bytes(b"\x89PNG\r\n")
    write(tmp_path / "one", [1])
    (tmp_path / "empty").mkdir()
    cases = {
        tmp_path / "sizes": "48x30 after images of 48x32; expected one size",
        tmp_path / "damaged": "not readable",
        tmp_path / "one": "1 frames; expected a video of at least 2",
        tmp_path / "empty": "a folder without images",
        tmp_path / "empty/%04d.png": "no such images; expected names like 00001.png",
        tmp_path / "nowhere/%04d.png": "no such folder",
    }
    for path, message in cases.items():
        with pytest.raises(ValueError, match=message) as error:
            read_video(path)
        assert "\n" not in str(error.value)
