"""plenodream in ComfyUI: this folder goes into ComfyUI's `custom_nodes`, the package `plenodream` into its Python."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
