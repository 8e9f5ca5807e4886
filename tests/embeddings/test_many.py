"""Several slides: which are meant, and that a broken one does not stop the rest."""

from __future__ import annotations

import shutil

import pytest
from colours import Colours

from napari_pathfm.embeddings import SlideEntry, embed_slides, slide_entries
from napari_pathfm.errors import Cancelled, SlideError


@pytest.fixture
def study(slide, tmp_path):
    """A folder with slides at two depths, and much that is none."""
    study = tmp_path / "study"
    (study / "deep").mkdir(parents=True)
    (study / "scans").mkdir()
    for name in ("b.tif", "a.TIF", "deep/c.tif"):
        shutil.copy(slide.path, study / name)
    (study / "scans" / "1.dcm").write_bytes(b"")
    (study / "broken.svs").write_text("no slide")
    (study / "notes.txt").write_text("no slide")
    (study / ".hidden.tif").write_text("no slide")
    store = study / "a.bundled.zarr"
    store.mkdir()
    (store / "zarr.json").write_text("{}")
    (store / "not-a-slide.tif").write_text("")
    image = study / "image.zarr"
    image.mkdir()
    (image / "zarr.json").write_text('{"attributes": {"ome": {"multiscales": []}}}')
    return study


def names(entries, folder):
    return [entry.path.relative_to(folder).as_posix() for entry in entries]


def test_a_folder_gives_its_slides_once(study):
    wanted = ["a.TIF", "b.tif", "broken.svs", "deep/c.tif", "image.zarr", "scans"]
    assert names(slide_entries([study, study / "b.tif"]), study) == wanted


def test_a_pattern_gives_what_matches(study):
    assert names(slide_entries([study / "**" / "[bc].tif"]), study) == [
        "b.tif",
        "deep/c.tif",
    ]
    with pytest.raises(SlideError, match="nothing matches"):
        slide_entries([study / "*.ndpi"])
    (study / "empty").mkdir()
    with pytest.raises(SlideError, match="empty holds no slide"):
        slide_entries([study / "empty"])


def test_a_list_gives_each_slide_its_pixel_size(study):
    file = study / "list.csv"
    file.write_text("slide,mpp,note\nb.tif,0.25,x\ndeep/c.tif,,y\n", "utf-8-sig")
    assert slide_entries([file], mpp=0.5) == [
        SlideEntry(study / "b.tif", 0.25),
        SlideEntry(study / "deep" / "c.tif", 0.5),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,mpp\na.tif,1", "first line must be slide,mpp"),
        ("slide,mpp", "first line must be slide,mpp"),
        ("slide,mpp\nb.tif,small", "line 2: 'small' is no pixel size"),
        ("slide,mpp\nb.tif,1\n,1", "line 3: the column slide is empty"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_list_that_is_none_is_one_line(tmp_path, text, says):
    file = tmp_path / "list.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SlideError, match=says) as caught:
        slide_entries([file])
    assert "\n" not in str(caught.value)


def test_a_broken_slide_does_not_stop_the_rest(study, tmp_path):
    wanted = ["b.tif", "broken.svs", "gone.tif", "deep/c.tif"]
    heard, seen = [], []
    reports = embed_slides(
        [SlideEntry(study / name) for name in wanted],
        Colours(),
        tmp_path / "out",
        progress=lambda name, done, total: seen.append((name, done, total)),
        on_report=heard.append,
    )
    assert reports == heard
    assert [report.error is None for report in reports] == [True, False, False, True]
    assert "broken.svs" in reports[1].error
    assert "gone.tif" in reports[2].error
    first = reports[0]
    assert first.store == tmp_path / "out" / "b.bundled.zarr"
    assert first.embedded == first.tiles > 0
    assert first.rate == pytest.approx(first.tiles / first.seconds)
    assert {name for name, *_ in seen} == {"b", "c"}
    again = embed_slides([SlideEntry(study / "b.tif")], Colours(), tmp_path / "out")
    assert (again[0].embedded, again[0].tiles) == (0, first.tiles)


def test_two_slides_of_one_name_do_not_mix(study, slide, tmp_path):
    from napari_pathfm.slides import draw_slide

    other = study / "deep" / "b.tif"
    draw_slide(other, width=600, height=500, levels=1, seed=5)
    entries = [SlideEntry(study / "b.tif"), SlideEntry(other)]
    reports = embed_slides(entries, Colours(), tmp_path / "out")
    assert reports[0].error is None
    assert "another slide" in reports[1].error


def test_stopping_stops_all(study, tmp_path):
    entries = [SlideEntry(study / "b.tif"), SlideEntry(study / "deep" / "c.tif")]
    with pytest.raises(Cancelled):
        embed_slides(entries, Colours(), tmp_path / "out", cancelled=lambda: True)
    assert len(list((tmp_path / "out").iterdir())) == 1
