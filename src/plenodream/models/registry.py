"""The networks and codecs that a model's folder may name, by the names it names them with."""

from __future__ import annotations

from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.wan.recammaster import ReCamMasterTransformer
from plenodream.models.wan.redirector import ReDirectorTransformer

DENOISERS: dict[str, type] = {
    network.__name__: network for network in (CosmosCameraTransformer, ReCamMasterTransformer, ReDirectorTransformer)
}
CODECS: dict[str, type] = {codec.__name__: codec for codec in (SpaceToDepthCodec, WanCodec)}
