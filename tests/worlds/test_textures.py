import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from PIL import Image

from plenodream.worlds.cameras import sample_cameras
from plenodream.worlds.family import FULL, MILD
from plenodream.worlds.patterns import FACES, FLOOR, IMAGE_SHARE
from plenodream.worlds.raycast import render
from plenodream.worlds.textures import load_textures, textures_fingerprint
from plenodream.worlds.world import sample_worlds, world_generator

PHOTOS = ("astronaut.png", "chelsea.png", "rocket.jpg")  # public domain or CC0, in scikit-image's wheel


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in PHOTOS:
        shutil.copy(Path(skimage.__file__).parent / "data" / name, folder)
    (folder / "letter.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"no image")
    (folder / "more").mkdir()
    return folder


def test_photographs_become_small_squares_in_the_order_of_their_names(photos):
    textures = load_textures(photos)
    assert textures.shape == (3, 3, 64, 64) and textures.dtype == torch.float32
    assert 0 <= textures.min() < 0.05 and 0.95 < textures.max() <= 1
    for number, name in enumerate(PHOTOS[:2]):
        pixels = np.asarray(Image.open(photos / name).convert("RGB")) / 255.0
        side = min(pixels.shape[:2])
        top, left = ((n - side) // 2 for n in pixels.shape[:2])
        blocks = 4  # coarse enough for sizes that 64 does not divide
        square = pixels[top : top + side, left : left + side]
        expected = square.reshape(blocks, side // blocks, blocks, side // blocks, 3).mean((1, 3))
        found = textures[number].unflatten(2, (blocks, -1)).unflatten(1, (blocks, -1)).mean((2, 4))
        assert (found.movedim(0, -1).numpy() - expected).__abs__().max() < 0.01


def test_a_texel_is_the_mean_of_its_area(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = pixels[:, 2:18].reshape(8, 2, 8, 2, 3).mean((1, 3)) / 255
    found = load_textures(tmp_path, size=8)[0].movedim(0, -1).numpy()
    assert np.abs(found - expected).max() < 1.01 / 255  # rounded along rows, then along columns


def _halves(mode, left, right):
    image = Image.new(mode, (8, 8), left)
    image.paste(right, (4, 0, 8, 8))
    return image


@pytest.mark.parametrize(
    ("name", "image", "left", "right"),
    [
        ("grey.png", _halves("L", 51, 204), (0.2,) * 3, (0.8,) * 3),
        ("bits.png", _halves("1", 0, 1), (0,) * 3, (1,) * 3),
        ("deep.png", _halves("I;16", 0x3333, 0xCCCC), (0.2,) * 3, (0.8,) * 3),
        ("alpha.png", _halves("RGBA", (255, 0, 0, 255), (0, 0, 0, 0)), (1, 0, 0), (1, 1, 1)),
        ("grey-alpha.png", _halves("LA", (0, 255), (0, 102)), (0,) * 3, (0.6,) * 3),
        ("palette.gif", _halves("RGB", (255, 0, 0), (0, 0, 255)).quantize(4), (1, 0, 0), (0, 0, 1)),
        ("lossless.webp", _halves("RGB", (255, 0, 0), (0, 0, 255)), (1, 0, 0), (0, 0, 1)),
        ("UPPER.BMP", _halves("RGB", (255, 0, 0), (0, 0, 255)), (1, 0, 0), (0, 0, 1)),
        ("ink.tif", _halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), (1, 0, 0), (1, 1, 1)),
    ],
)
def test_every_kind_of_image_becomes_rgb(tmp_path, name, image, left, right):
    image.save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
    (texture,) = load_textures(tmp_path, size=8)
    expected = torch.tensor([left, right], dtype=torch.float32).repeat_interleave(4, 0).T[:, None].expand(3, 8, 8)
    torch.testing.assert_close(texture, expected, atol=0.005, rtol=0)


def test_palettes_may_be_transparent(tmp_path):
    image = _halves("P", 0, 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=1)
    (texture,) = load_textures(tmp_path, size=8)
    assert texture[:, 0, 0].tolist() == [1, 0, 0] and texture[:, 0, 7].tolist() == [1, 1, 1]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_photographs_are_turned_upright(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown a quarter turn clockwise
    _halves("RGB", (0, 0, 0), (255, 255, 255)).resize((800, 600)).save(tmp_path / f"a.{suffix}", exif=exif)
    (texture,) = load_textures(tmp_path, size=8)
    assert texture[:, :3].max() < 0.1 and texture[:, 5:].min() > 0.9


def test_bad_folders_are_one_clear_line(tmp_path):
    def message(folder):
        with pytest.raises(ValueError) as error:
            load_textures(folder)
        return str(error.value)

    assert "nowhere: no such file or directory; expected a folder of images (.png" in message(tmp_path / "nowhere")
    assert "no images found; expected a folder of images" in message(tmp_path)
    (tmp_path / "a.png").write_bytes(b"no image")
    assert "a.png: not a directory" in message(tmp_path / "a.png")
    assert "a.png: not readable (cannot identify" in message(tmp_path)
    assert "replace or remove it" in message(tmp_path) and "\n" not in message(tmp_path)
    photo = (Path(skimage.__file__).parent / "data" / "rocket.jpg").read_bytes()
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.jpg").write_bytes(photo[: len(photo) // 2])
    assert "b.jpg: not readable (" in message(tmp_path)


def test_the_fingerprint_tells_other_images(photos):
    textures = load_textures(photos)
    assert textures_fingerprint(textures) == textures_fingerprint(load_textures(photos))
    assert textures_fingerprint(textures).startswith("3 images ")
    others = (textures[:2], textures.flip(0), textures.flip(-1))
    assert len({textures_fingerprint(other) for other in (textures, *others)}) == 4


@pytest.mark.parametrize("family", [MILD, FULL], ids=["mild", "full"])
def test_images_change_nothing_but_what_surfaces_show(family, photos):
    """Worlds, and what is drawn after them, are the same with and without."""
    plain, textured = (
        (sample_worlds(family, 4, generator, textures=textures), sample_cameras(family, 4, 2, 2, 16, 16, generator))
        for textures, generator in ((t, world_generator("train", 3)) for t in (None, load_textures(photos)))
    )
    for field in dataclasses.fields(plain[0]):
        first, second = (getattr(worlds, field.name) for worlds, _ in (plain, textured))
        if field.name.startswith("image"):
            assert first is None and second is not None
        else:
            assert torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second, field.name
    assert torch.equal(plain[1].camera_to_world, textured[1].camera_to_world)
    assert torch.equal(plain[1].intrinsics, textured[1].intrinsics)
    first, second = (render(*sample, torch.tensor([0.2, 0.8])) for sample in (plain, textured))
    assert torch.equal(first.depth, second.depth) and torch.equal(first.moving, second.moving)
    assert (first.rgb - second.rgb).abs().mean() > 0.05
    assert second.rgb.isfinite().all() and second.rgb.min() >= 0 and second.rgb.max() <= 1


@pytest.mark.parametrize(
    ("family", "after", "colour"),
    [
        (MILD, [0.88729060, 0.61829609, 0.30733728], [0.537036, 0.502662, 0.477672]),
        (FULL, [0.74188346, 0.69218636, 0.82531816], [0.409142, 0.527736, 0.493320]),
    ],
    ids=["mild", "full"],
)
def test_worlds_without_images_are_those_of_the_bundled_weights(family, after, colour):
    """The bundled model, its scores and the demo's clip stand on these worlds: not one random draw may move."""
    generator = world_generator("validation", 0)
    worlds, cameras = sample_worlds(family, 2, generator), sample_cameras(family, 2, 2, 2, 16, 16, generator)
    torch.testing.assert_close(torch.rand(3, generator=generator), torch.tensor(after), atol=1e-7, rtol=0)
    found = render(worlds, cameras, torch.tensor([0.2, 0.8])).rgb.mean((0, 1, 2, 3, 4))
    torch.testing.assert_close(found, torch.tensor(colour), atol=2e-5, rtol=0)


def test_about_half_of_the_surfaces_show_an_image_but_never_the_sky(photos):
    worlds = sample_worlds(FULL, 300, world_generator("train", 0), textures=load_textures(photos))
    shown = worlds.image_width.isfinite()
    walls = torch.arange(shown.shape[1]) < FACES
    sky = worlds.is_open[:, None] & walls & (torch.arange(shown.shape[1]) != FLOOR)
    assert sky.any() and not shown[sky].any()
    assert abs(shown[~sky].float().mean() - IMAGE_SHARE) < 0.03
    for part, (low, high) in ((walls, FULL.wall_wave), (~walls, FULL.thing_wave)):
        width = worlds.image_width[shown & part]
        assert low * 0.999 <= width.min() < 1.1 * low and 0.9 * high < width.max() <= high * 1.001
    # Every image is shown, and worlds have images of their own.
    assert len({tuple(image.flatten()[:200].tolist()) for image in worlds.images.flatten(0, 1)}) == len(PHOTOS)
    assert (shown[1:] != shown[:-1]).any(1).all()


def test_textured_worlds_are_a_function_of_the_seed(photos):
    textures = load_textures(photos)
    first, again, other = (
        sample_worlds(MILD, 2, world_generator("train", seed), textures=textures) for seed in (4, 4, 5)
    )
    assert torch.equal(first.images, again.images) and torch.equal(first.image_width, again.image_width)
    assert torch.equal(first.image_offset, again.image_offset)
    assert not torch.equal(first.image_offset, other.image_offset)
