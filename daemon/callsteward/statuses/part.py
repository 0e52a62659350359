"""Operators' statuses in the daemon: devices are watched, and the gauges of operators have the status."""

from __future__ import annotations

import msgspec

from callsteward.ari import events as ari
from callsteward.config import Config
from callsteward.part import Part, Site
from callsteward.record.facts import OperatorNow, OperatorState, OperatorStatus
from callsteward.statuses.asking import Asking
from callsteward.statuses.devices import Devices, pause_device
from callsteward.statuses.seen import Seen


class StatusesPart(Part):
    def __init__(self, site: Site) -> None:
        self._site = site
        self._config = site.config
        self._devices = Devices(site.config)
        self.seen = Seen(self._devices)
        # Since when nothing is known: the connection's loss, or the start.
        self._unknown_ms = site.now_ms()
        self._asking = Asking(
            site.rest,
            site.config.asterisk.app,
            self.seen,
            reread_s=site.config.statuses.reread_s,
            now_ms=site.now_ms,
            changed=site.changed,
        )

    def hear(self, event: ari.Event) -> None:
        # Events of a journal say what was: nothing is known before there is a connection.
        if not self._asking.linked:
            return
        if isinstance(event, ari.DeviceStateChanged):
            at_ms = ari.epoch_ms(event.timestamp)
            device = event.device_state
            if self.seen.hear(device.name, device.state, self._site.now_ms() if at_ms is None else at_ms):
                self._site.changed()
        elif isinstance(event, ari.Dial):
            # A queue rings a member by the name that the member has there.
            if event.caller is not None and event.caller.dialplan.app_name == "Queue" and event.dialstring:
                queue = event.caller.dialplan.app_data.partition(",")[0]
                if self._devices.rang(queue, event.dialstring):
                    self._asking.again()
                self.seen.rang(pause_device(queue, event.dialstring))
        elif isinstance(event, ari.Snapshot):
            self._asking.again()

    def link(self, connected: bool, why: str) -> None:
        del why
        self._unknown_ms = self._site.now_ms()
        self._asking.link(connected)
        self._site.changed()

    def reconfigure(self, config: Config) -> None:
        found = self._devices.found
        self._devices = Devices(config)
        for queue, interface in found:
            self._devices.rang(queue, interface)
        self.seen = self.seen.of(self._devices)
        self._asking.look_at(self.seen)
        self._site.changed()

    def operators_now(self, operators: list[OperatorNow]) -> list[OperatorNow]:
        on_call = {operator.operator: operator for operator in operators}
        for name in self._devices.operators:
            if name not in on_call:
                on_call[name] = OperatorNow(operator=name, state=OperatorState.IDLE, since_ms=0)
        return [self._with_status(operator) for operator in on_call.values()]

    def _with_status(self, now: OperatorNow) -> OperatorNow:
        at_rest = self.seen.at_rest(now.operator)
        status, since_ms = at_rest.status, at_rest.since_ms
        if not self._asking.linked:
            # Calls may have ended meanwhile, too.
            status, since_ms = OperatorStatus.UNKNOWN, self._unknown_ms
        elif now.state is not OperatorState.IDLE:
            status, since_ms = OperatorStatus(now.state.value), now.since_ms
        queues = at_rest.paused_queues
        return msgspec.structs.replace(
            now,
            status=status,
            status_since_ms=self._unknown_ms if since_ms is None else since_ms,
            paused_queues=None if queues is None else len(queues),
            paused_since_ms=at_rest.paused_since_ms,
        )

    async def run(self) -> None:
        await self._asking.run()
