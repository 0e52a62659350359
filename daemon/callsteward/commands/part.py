"""Commands in the daemon, and the way by which they come over MQTT."""

from __future__ import annotations

from callsteward.commands.core import Commands
from callsteward.commands.done import CommandsDone
from callsteward.network.waiting import together
from callsteward.part import Part, Site
from callsteward.rating.complaints import ByCommand
from callsteward.rating.part import RatingPart
from callsteward.statuses.part import StatusesPart
from callsteward.store.forgetting import hourly
from callsteward.tags.part import TagsPart


class CommandsPart(Part):
    def __init__(self, site: Site) -> None:
        tags, ratings = site.part(TagsPart), site.part(RatingPart)
        statuses = site.part(StatusesPart)
        assert tags is not None  # wanted wherever commands are
        self._site = site
        self.commands = Commands(
            site.config,
            consequences=tags.consequences,
            tagging=tags.tagging,
            done=CommandsDone(site.store.engine, site.name),
            put=self._put,
            now_ms=site.now_ms,
            statuses=None if statuses is None else statuses.desk,
            complaints=None if ratings is None else ByCommand(ratings.complaints),
            may_act=site.may_act,
        )

    def _put(self, frame: bytes) -> bool:
        """Into the stream; while events are left out a frame would be, too."""
        frames = self._site.frames
        if frames.full or frames.overflowed.is_set():
            return False
        frames.put(frame)
        return True

    async def run(self) -> None:
        config = self._site.config
        works = [hourly(self._forget, failing="old answers are not forgotten", action="commands_forget")]
        if config.commands.mqtt and config.mqtt.enabled:
            from callsteward.commands.mqtt import MqttDoor

            works.append(
                MqttDoor(config, self.commands, boot_id=self._site.boot_id, may_act=self._site.may_act).run()
            )
        await together(*works)

    async def _forget(self) -> None:
        """Answers that are past their time."""
        await self.commands.forget_old(self._site.now_ms())
