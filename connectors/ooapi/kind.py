"""The kind `ooapi`: a campus that speaks the Open Education API, version 5 or 6."""

from __future__ import annotations

from connectors.ooapi.options import SinkOptions, SourceOptions
from connectors.ooapi.sink import Associations
from connectors.ooapi.source import Ooapi
from connectors.sdk.contract import SinkKind, SourceKind

SOURCE = SourceKind(options=SourceOptions, open=Ooapi)
SINK = SinkKind(options=SinkOptions, open=Associations)
