"""What leaves for other programs: QuPath GeoJSON, OME-TIFF, PNG with provenance.

Coordinates that leave are level-0 pixels ``(x, y)``, origin at the corner of the first
pixel, as QuPath and OpenSlide count; pixel sizes are micrometres. Every file is written
whole or not at all. An existing file is replaced: napari's Save dialog has asked, and
the shell's user has named it.
"""

from napari_pathfm.exports._features import (
    SYNTHETIC_CLASS,
    annotation_feature,
    class_color,
    object_id,
)
from napari_pathfm.exports._geojson import (
    export_heatmap_geojson,
    export_store_geojson,
    read_geojson,
    write_geojson,
)
from napari_pathfm.exports._layer_images import (
    export_layer_png,
    heatmap_from_layer,
    synthetic_from_layer,
)
from napari_pathfm.exports._layers import export_layers_geojson, layer_features
from napari_pathfm.exports._objects import QuPathObject
from napari_pathfm.exports._ome_tiff import export_heatmap_ome_tiff
from napari_pathfm.exports._png import export_png, read_provenance, read_synthetic
from napari_pathfm.exports._sheet import export_animation, export_contact_sheet
from napari_pathfm.exports._synthetic_tiff import export_synthetic_ome_tiff
from napari_pathfm.exports._tiles import (
    heatmap_tiles,
    synthetic_features,
    tile_features,
    tiles_feature_collection,
)

__all__ = [
    "SYNTHETIC_CLASS",
    "QuPathObject",
    "annotation_feature",
    "class_color",
    "export_animation",
    "export_contact_sheet",
    "export_heatmap_geojson",
    "export_heatmap_ome_tiff",
    "export_layer_png",
    "export_layers_geojson",
    "export_png",
    "export_store_geojson",
    "export_synthetic_ome_tiff",
    "heatmap_from_layer",
    "heatmap_tiles",
    "layer_features",
    "object_id",
    "read_geojson",
    "read_provenance",
    "read_synthetic",
    "synthetic_features",
    "synthetic_from_layer",
    "tile_features",
    "tiles_feature_collection",
    "write_geojson",
]
