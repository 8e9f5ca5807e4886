"""The plugin's state and what can be done with it, without Qt."""

from napari_pathfm.viewer.session._across import Across
from napari_pathfm.viewer.session._autosave import Autosave, Recovery
from napari_pathfm.viewer.session._class_list import ClassList
from napari_pathfm.viewer.session._classes import Classes
from napari_pathfm.viewer.session._doctor import Doctor
from napari_pathfm.viewer.session._fine import Fine
from napari_pathfm.viewer.session._gallery import Gallery
from napari_pathfm.viewer.session._given_store import GivenStores, name_store
from napari_pathfm.viewer.session._history import History
from napari_pathfm.viewer.session._jobs import (
    InlineRunner,
    Job,
    Outcome,
    Runner,
    carry_out,
)
from napari_pathfm.viewer.session._models import Choice, Models
from napari_pathfm.viewer.session._overview import Box, Overview
from napari_pathfm.viewer.session._prefetch import Chunk, Prefetch
from napari_pathfm.viewer.session._prompts import Prompt, Prompts, Role
from napari_pathfm.viewer.session._repairs import Repairs, Twins
from napari_pathfm.viewer.session._sections import Section
from napari_pathfm.viewer.session._session import Session
from napari_pathfm.viewer.session._session_file import SUFFIX, Bulk, read_session
from napari_pathfm.viewer.session._similarity import Similarity
from napari_pathfm.viewer.session._slide_state import SlideState
from napari_pathfm.viewer.session._steering import Steering
from napari_pathfm.viewer.session._store_files import OVERLAPS
from napari_pathfm.viewer.session._synthesis import Synthesis
from napari_pathfm.viewer.session._tissue import Tissue
from napari_pathfm.viewer.session._virtual import MOST_CHUNKS, Virtual

__all__ = [
    "MOST_CHUNKS",
    "OVERLAPS",
    "SUFFIX",
    "Across",
    "Autosave",
    "Box",
    "Bulk",
    "Choice",
    "Chunk",
    "ClassList",
    "Classes",
    "Doctor",
    "Fine",
    "Gallery",
    "GivenStores",
    "History",
    "InlineRunner",
    "Job",
    "Models",
    "Outcome",
    "Overview",
    "Prefetch",
    "Prompt",
    "Prompts",
    "Recovery",
    "Repairs",
    "Role",
    "Runner",
    "Section",
    "Session",
    "Similarity",
    "SlideState",
    "Steering",
    "Synthesis",
    "Tissue",
    "Twins",
    "Virtual",
    "carry_out",
    "name_store",
    "read_session",
]
