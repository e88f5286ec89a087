"""A source from files, and what a scene keeps of it: sizes, notes, and the way back from a damaged window."""

from fractions import Fraction

import av
import pytest
import torch

from plenodream.geometry.cameras import horizontal_fov
from plenodream.geometry.formats import save_cameras
from plenodream.geometry.formats.ours import cameras_json
from plenodream.geometry.points import ScenePoints
from plenodream.media.depth import DISPARITY, METRIC, SCALED, RawDepth
from plenodream.rendering.source import DEFAULT_FOV, open_source, source_notes, source_size, still_cameras

STILL = "1 0 0 {} 0 1 0 0 0 0 1 0"


def make_video(path, times=(0, 100, 200, 300, 400), height=18, width=32):
    """A video whose frames are shown at the given times, in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = height, width, "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        container.start_encoding()
        for number, time in enumerate(times):
            image = torch.full((height, width, 3), 20 * number, dtype=torch.uint8).numpy()
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def poses_file(path, count):
    path.write_text("\n".join(STILL.format(number) for number in range(count)))
    return path


def test_every_frame_of_a_variable_rate_file_has_a_camera_also_those_never_shown(tmp_path):
    times = (0, 1000, 2000, 2010, 2020)  # of the last three, the constant rate shows the first alone
    video = make_video(tmp_path / "a.mkv", times)
    shown = open_source(video, 16, 16).frames[:, 0, 0, 0] // 20
    assert len(shown) == 5 and shown.max() < 4
    view = open_source(video, 16, 16, poses_file(tmp_path / "a.txt", 5))
    assert view.cameras.camera_to_world[:, 0, 3].tolist() == shown.tolist()
    with pytest.raises(ValueError, match="3 cameras for 5 frames"):
        open_source(video, 16, 16, poses_file(tmp_path / "b.txt", 3))


def test_a_field_of_view_is_for_files_that_give_no_focal_length(tmp_path):
    video = make_video(tmp_path / "a.mkv", height=16, width=16)
    poses, full = poses_file(tmp_path / "a.txt", 5), tmp_path / "a.json"
    save_cameras(full, still_cameras(5, 16, 16, 40.0))
    view = open_source(video, 16, 16, poses, 50.0)
    assert horizontal_fov(view.cameras)[0].item() == pytest.approx(50) and "50 degrees" in view.notes[-1]
    view = open_source(video, 16, 16, poses)
    assert horizontal_fov(view.cameras)[0].item() == pytest.approx(DEFAULT_FOV) and "no focal length" in view.notes[-1]
    view = open_source(video, 16, 16, full)
    assert horizontal_fov(view.cameras)[0].item() == pytest.approx(40)
    assert len(view.notes) == 1 and view.notes[0].startswith("a.json: our JSON: 5 cameras; poses: ")
    with pytest.raises(ValueError, match=r"40 degrees beside .*a.json, which gives focal lengths; .* --source-fov out"):
        open_source(video, 16, 16, full, 40.0)


def test_a_scene_keeps_the_size_and_the_notes_of_its_source(tiny_pipeline, tiny_video, settings, tmp_path):
    video = open_source(make_video(tmp_path / "a.mkv"), 16, 16)
    scene = tiny_pipeline().prepare(tmp_path / "file", video)
    assert source_size(scene) == (18, 32) and source_notes(scene) == video.notes
    assert "stand still" in video.notes[0] and "32x18 resized to 16x16, its centre cropped" in video.notes[1]
    scene = tiny_pipeline().prepare(tmp_path / "tensor", tiny_video(height=20, width=30))
    assert source_size(scene) == (20, 30) and source_notes(scene) == ()
    guided = tiny_pipeline().prepare(tmp_path / "guided", tiny_video(), settings=settings(guidance=1.0))
    assert [note[:11] for note in source_notes(guided)] == ["guidance 1:"]


def test_a_scene_from_before_has_neither(tiny_pipeline, tiny_video, tmp_path):
    scene = tiny_pipeline().prepare(tmp_path, tiny_video(height=20, width=30))
    scene.write("source", 0, scene.read("source", 0).frames, {"given": True}, {})
    assert source_size(scene) == (16, 16) and source_notes(scene) == ()


@pytest.mark.parametrize("file", ["video.mkv", "record.json"])
def test_a_damaged_source_is_mended_by_its_video(tiny_pipeline, tiny_video, settings, content, tmp_path, file):
    pipeline, video = tiny_pipeline(), tiny_video(5)
    pipeline(video, ("arc-left",), tmp_path, settings())
    before = content(tmp_path)
    damaged = tmp_path / "views" / "source" / "chunk-001" / file
    damaged.write_bytes(damaged.read_bytes()[:10])
    with pytest.raises(ValueError, match=r"view source, window 1 is damaged .*; give its video again"):
        scene = pipeline.prepare(tmp_path, None)
        _ = scene.read("source", 1), scene.record("source", 1)
    for other in (tiny_video(5, seed=1), tiny_video(5, fov=50.0)):
        with pytest.raises(ValueError, match="another source video"):
            pipeline.prepare(tmp_path, other)
    scene = pipeline.prepare(tmp_path, video)
    pipeline.render(scene)
    assert {name: data for name, data in content(tmp_path).items() if name in before} == before


@pytest.mark.parametrize(
    ("values", "kind", "assumed"),
    [
        (lambda z: 7 * z, SCALED, False),
        (lambda z: 5 / z + 1, DISPARITY, False),
        (lambda z: 1 / (0.2 / z + 0.1), METRIC, True),
    ],
)
def test_points_of_the_cameras_scale_depth_also_of_a_part_in_other_lengths(tmp_path, values, kind, assumed):
    video, cameras = make_video(tmp_path / "a.mkv"), still_cameras(5, 18, 32)
    truth = (2 + torch.rand(18, 32, generator=torch.Generator().manual_seed(0))).repeat(5, 1, 1)
    row, column = (value.flatten() for value in torch.meshgrid(torch.arange(18), torch.arange(32), indexing="ij"))
    focal, depth = cameras.intrinsics[0, 0].item(), truth[0, row, column]
    places = torch.stack([(column + 0.5 - 16) / focal * depth, (row + 0.5 - 9) / focal * depth, depth], dim=1)
    frame = torch.arange(5).repeat_interleave(len(places))
    seen = torch.stack([frame, torch.arange(len(places)).repeat(5)], dim=1)
    (tmp_path / "c.json").write_text(cameras_json(cameras, 10.0, ScenePoints(places.double(), seen)))
    raw = RawDepth(values(truth), kind, "some", assumed)
    part = slice(1, None, 2)
    view = open_source(video, 18, 32, tmp_path / "c.json", None, 3.0, part, raw)
    torch.testing.assert_close(view.depth, 3 * truth[:2], rtol=0.02, atol=0)
    assert "in the scale of the cameras' points" in view.notes[-1]
    (tmp_path / "few.json").write_text(cameras_json(cameras, 10.0, ScenePoints(places[:5].double(), None)))
    assert "points" not in open_source(video, 18, 32, tmp_path / "few.json", depth=raw).notes[-1]
    far = [
        note for note in open_source(video, 18, 32, tmp_path / "few.json", subject_distance=40).notes if "lie" in note
    ]
    assert len(far) == 1 and "of the first frame), the subject is taken to be at 40 m: --scale 1" in far[0]
    assert not any("lie" in note for note in view.notes)
    (tmp_path / "own.json").write_text(cameras_json(cameras, 10.0, unit="COLMAP's own"))
    metric = RawDepth(truth, METRIC, "some")
    for name, said in (("own", True), ("few", False)):
        notes = open_source(video, 18, 32, tmp_path / f"{name}.json", depth=metric).notes
        assert any("depth is in metres, lengths of the cameras are COLMAP's own" in note for note in notes) == said
