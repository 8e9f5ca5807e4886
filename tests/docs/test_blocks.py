"""Every block of the documents runs, or says beside it why it does not.

A page's blocks run in order, in a copy of one folder (`work`), with `main` in this
process. A block that cannot run has a comment above it in the page's source::

    <!-- not run: needs a Slurm cluster -->
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil

import pytest
from blocks import ROOT, blocks, pages

from napari_pathfm.cli import main
from napari_pathfm.cli._main import build_parser

# What pages say of a real slide, and where the drawn one has the like.
INSTEAD = {"640,2300": "900,1200"}  # dermis; the drawn slide has glass there

PAGES = [page for page in pages() if blocks(page)]
EVERY = [block for page in PAGES for block in blocks(page)]


def namespace(names, opened):
    """Give the names that a page's Python blocks take for granted, of those asked."""
    import napari_pathfm as pathfm
    from napari_pathfm.exports import read_synthetic

    def image():
        main(["generate", "slide.svs", "--at", "1200,1900", "-n", "1", "--out", "made"])
        return read_synthetic("made/slide_1200_1900_seed0.png")

    makers = {
        "slide": lambda: opened.enter_context(pathfm.open_slide("slide.svs")),
        "encoder": pathfm.load_encoder,
        "generator": pathfm.load_generator,
        "store": lambda: pathfm.open_store("stores/slide.bundled.zarr"),
        "image": image,
    }
    return {name: make() for name, make in makers.items() if name in names}


def expanded(words):
    """Do as a shell does with patterns that match; ours reads the others itself."""
    for word in words:
        found = sorted(glob.glob(word, recursive=True)) if "*" in word else []
        yield from found or [word]


def linked(source, target):
    """Copy a file; slides are large, and nothing writes into one."""
    copy = os.link if source.endswith(".svs") else shutil.copy2
    copy(source, target)


def run_python(block):
    code = compile(block.text, str(block), "exec")
    with contextlib.ExitStack() as opened:
        told = namespace(code.co_names, opened)
        exec(code, {"__name__": "documents", **told})


def run_shell(block):
    for program, *words in block.commands():
        assert program == "napari-pathfm", f"{block} runs {program}: mark the block"
        words = [INSTEAD.get(word, word) for word in words]
        code = main(list(expanded(words)))
        # The doctor's answer is about the machine, whatever it is.
        fine = (0, 1) if words[:2] == ["models", "doctor"] else (0,)
        assert code in fine, f"{block}: napari-pathfm {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run(page, work, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    shutil.copytree(work, folder, copy_function=linked)
    monkeypatch.chdir(folder)
    opened = []
    for verb in ("_view", "_demo"):  # a window is not opened, only asked for
        monkeypatch.setattr(f"napari_pathfm.cli.{verb}.has_display", lambda: True)
        monkeypatch.setattr(
            f"napari_pathfm.cli.{verb}.run_module",
            lambda module, words, hidden: opened.append(module) or 0,
        )
    for block in blocks(page):
        if block.reason is not None:
            print(f"{block} is not run: {block.reason}")
            continue
        run = run_python if block.language == "python" else run_shell
        try:
            run(block)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block} fails: {error!r}") from error


@pytest.mark.parametrize("block", [b for b in EVERY if b.language != "python"], ids=str)
def test_the_parser_takes_every_command(block):
    """Also of blocks that are not run."""
    for program, *words in block.commands():
        if program == "napari-pathfm" and "NAME" not in words:
            build_parser().parse_args(words)


def test_what_is_not_run_says_why():
    for block in EVERY:
        if block.reason is not None:
            print(f"{block} is not run: {block.reason}")
            assert len(block.reason.split()) > 1, f"{block}: say why"
    told = sum(
        (ROOT / page).read_text(encoding="utf-8").count("<!-- not run")
        for page in {block.page for block in EVERY}
    )
    marked = sum(block.reason is not None for block in EVERY)
    assert told == marked, "a mark stands before no block"
