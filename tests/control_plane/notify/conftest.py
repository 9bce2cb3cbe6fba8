"""Receivers, a world, and the courier between them."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.notify.attempts import Doors
from control_plane.notify.courier import Courier
from tests.control_plane.alert_world import AlertWorld
from tests.control_plane.notify.receivers import MailReceiver, WebReceiver

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AlertWorld]:
    made = AlertWorld(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def mail() -> Iterator[MailReceiver]:
    receiver = MailReceiver()
    receiver.up()
    yield receiver
    receiver.close()


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    receiver = WebReceiver()
    yield receiver
    receiver.close()


@pytest.fixture
def courier(world: AlertWorld, web: WebReceiver) -> Courier:
    doors = Doors(networks=LOOPBACK, pagerduty_url=web.url)
    return Courier(world.store, world.clock, world.vault, doors)
