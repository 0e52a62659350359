"""Compression in the daemon: beside the stream, after an upgrade, and each hour what is found then."""

from __future__ import annotations

from callsteward.compression.compressor import Compressor, SaidCompressed
from callsteward.part import Part, Site
from callsteward.store.forgetting import hourly


class CompressionPart(Part):
    def __init__(self, site: Site) -> None:
        self._compressor = Compressor(site.store.engine, site.name)

    async def run(self) -> None:
        await hourly(self._work, failing="old records are not compressed", action="records_compress")

    async def _work(self) -> None:
        said = SaidCompressed()
        said.end(await self._compressor.work(said.step))
