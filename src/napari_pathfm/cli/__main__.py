"""``python -m napari_pathfm.cli`` is ``napari-pathfm``."""

import sys

from napari_pathfm.cli._main import main

sys.exit(main())
