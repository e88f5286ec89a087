"""Camera files of many tools, told apart by content: one file a format, one way in (docs/cameras.md).

Every importer converts to docs/conventions.md (camera-to-world, OpenCV axes, pixels) and says what it found.
"""

from plenodream.geometry.formats.load import FoundCameras, is_camera_file, load_cameras, read_cameras, stated_size
from plenodream.geometry.formats.ours import save_cameras

__all__ = ["FoundCameras", "is_camera_file", "load_cameras", "read_cameras", "save_cameras", "stated_size"]
