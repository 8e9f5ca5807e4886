"""What leaves for other programs: QuPath GeoJSON, OME-TIFF, OME-Zarr, tables, PNG.

Coordinates that leave are level-0 pixels ``(x, y)``, origin at the corner of the first
pixel, as QuPath and OpenSlide count; pixel sizes are micrometres. Every file is written
whole or not at all. An existing file is replaced: napari's Save dialog has asked, and
the shell's user has named it.
"""

from napari_pathfm.exports._anndata import export_store_anndata
from napari_pathfm.exports._digest import array_sha256
from napari_pathfm.exports._features import (
    SYNTHETIC_CLASS,
    annotation_feature,
    class_color,
    object_id,
)
from napari_pathfm.exports._geojson import (
    export_heatmap_geojson,
    export_store_geojson,
    write_geojson,
    write_objects,
)
from napari_pathfm.exports._h5 import export_store_h5
from napari_pathfm.exports._layer_images import (
    export_layer_png,
    heatmap_from_layer,
    synthetic_from_layer,
)
from napari_pathfm.exports._layer_objects import layer_objects
from napari_pathfm.exports._layers import export_layers_geojson, layer_features
from napari_pathfm.exports._maps import export_maps
from napari_pathfm.exports._measured import measured_features
from napari_pathfm.exports._object_layers import objects_to_layers
from napari_pathfm.exports._objects import QuPathObject, QuPathObjects
from napari_pathfm.exports._pixel_layers import layer_pixels, pixels_to_layers
from napari_pathfm.exports._pixels import (
    PIXEL_SUFFIXES,
    export_heatmap_ome_tiff,
    is_our_picture,
    read_heatmaps,
    read_pixels,
    write_each,
    write_pixels,
)
from napari_pathfm.exports._placed_pixels import (
    PlacedPixels,
    heatmap_pixels,
    synthetic_pixels,
)
from napari_pathfm.exports._png import export_png, read_provenance, read_synthetic
from napari_pathfm.exports._read_anndata import import_anndata
from napari_pathfm.exports._read_geojson import read_geojson
from napari_pathfm.exports._read_h5 import import_h5
from napari_pathfm.exports._read_wsidata import import_wsidata
from napari_pathfm.exports._sheet import (
    export_animation,
    export_comparison,
    export_contact_sheet,
)
from napari_pathfm.exports._tables import object_table, tile_table, write_table
from napari_pathfm.exports._tiles import (
    heatmap_tiles,
    synthetic_features,
    tile_features,
    tiles_feature_collection,
)
from napari_pathfm.exports._virtual import (
    check_tiff_output,
    parts_folder,
    write_virtual,
)
from napari_pathfm.exports._wsidata import export_store_wsidata
from napari_pathfm.exports._wsidata_shapes import is_wsidata, read_wsidata_shapes

__all__ = [
    "PIXEL_SUFFIXES",
    "SYNTHETIC_CLASS",
    "PlacedPixels",
    "QuPathObject",
    "QuPathObjects",
    "annotation_feature",
    "array_sha256",
    "check_tiff_output",
    "class_color",
    "export_animation",
    "export_comparison",
    "export_contact_sheet",
    "export_heatmap_geojson",
    "export_heatmap_ome_tiff",
    "export_layer_png",
    "export_layers_geojson",
    "export_maps",
    "export_png",
    "export_store_anndata",
    "export_store_geojson",
    "export_store_h5",
    "export_store_wsidata",
    "heatmap_from_layer",
    "heatmap_pixels",
    "heatmap_tiles",
    "import_anndata",
    "import_h5",
    "import_wsidata",
    "is_our_picture",
    "is_wsidata",
    "layer_features",
    "layer_objects",
    "layer_pixels",
    "measured_features",
    "object_id",
    "object_table",
    "objects_to_layers",
    "parts_folder",
    "pixels_to_layers",
    "read_geojson",
    "read_heatmaps",
    "read_pixels",
    "read_provenance",
    "read_synthetic",
    "read_wsidata_shapes",
    "synthetic_features",
    "synthetic_from_layer",
    "synthetic_pixels",
    "tile_features",
    "tile_table",
    "tiles_feature_collection",
    "write_each",
    "write_geojson",
    "write_objects",
    "write_pixels",
    "write_table",
    "write_virtual",
]
