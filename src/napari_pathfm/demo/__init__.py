"""What a newcomer is shown: a sample slide, and a page with the results."""

from napari_pathfm.demo._page import Figure, write_page
from napari_pathfm.demo._sample import cache_folder, cached_sample, sample_slide

__all__ = ["Figure", "cache_folder", "cached_sample", "sample_slide", "write_page"]
