"""Servers that die, stop, vanish or lie, under load: nobody gets an error or a stale value.

Four processes of eight threads or tasks each make pages of ten calls on the same keys, two over
REST and two over TCP. Set TEST_LENGTH=30 for 100,000 recorded operations and more per fault.
"""

from __future__ import annotations

import logging
import os
import signal
import time

import pytest

from tests.outage.load import INTERVAL
from tests.outage.site import kill

logger = logging.getLogger(__name__)  # --log-cli-level=INFO shows the figures
LENGTH = int(os.environ.get("TEST_LENGTH", "1"))
CALLS = 1_000 * LENGTH


def mixed(site):
    return [("sync", site.rest), ("sync", site.tcp), ("async", site.rest), ("async", site.tcp)]


def threads(site):
    return [("sync", site.rest), ("sync", site.tcp)] * 2


class Outage:
    """One course of events: all is well, a fault, its end, all is well again."""

    def __init__(self, crowd, calls=CALLS):
        self.crowd, self.calls = crowd, calls
        crowd.wait_for_state("closed")
        crowd.work_on(calls)

    def __enter__(self):
        return self

    def met(self):
        """Wait until every process has given the database up, and then some."""
        self.crowd.wait_for_state("open", "half_open")
        self.crowd.work_on(self.calls)

    def __exit__(self, kind, error, traceback):
        if kind is not None:
            return
        over = time.monotonic()
        self.crowd.wait_for_state("closed")
        self.recovered = time.monotonic() - over
        self.crowd.work_on(self.calls)
        self.crowd.stop()


def check(outage, record_property):
    report = outage.crowd.report()
    figures = f"{report}; all recovered {outage.recovered:.2f} s after the fault's end"
    record_property("figures", figures)
    logger.info(figures)
    assert report.failures == []
    assert report.stale == []
    assert report.p99 < 0.05
    # A break ends within the interval, and the probe that follows takes its call's deadlines.
    assert outage.recovered < INTERVAL + 4


@pytest.mark.parametrize("clients", [mixed, threads])
def test_the_doors_are_killed_and_brought_back(clients, open_site, gather, record_property):
    site = open_site()
    with Outage(gather(clients(site))) as outage:
        kill(site.front)
        outage.met()
        site.restart_front()
    check(outage, record_property)


def test_the_database_is_killed_and_brought_back(open_site, gather, record_property):
    site = open_site()
    with Outage(gather(mixed(site))) as outage:
        kill(site.database)
        outage.met()
        site.restart_database()
    check(outage, record_property)


@pytest.mark.parametrize("who", ["front", "database"])
def test_a_server_stops_for_a_while(who, open_site, gather, record_property):
    site = open_site()
    with Outage(gather(mixed(site))) as outage:
        process = getattr(site, who)
        process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        outage.met()
        time.sleep(max(0.0, stopped + min(10, 2 * LENGTH) - time.monotonic()))
        process.send_signal(signal.SIGCONT)
    check(outage, record_property)


@pytest.mark.parametrize("only_replies", [False, True])
def test_packets_vanish(only_replies, network, open_site, gather, record_property):
    site = open_site(within=network.servers, host=network.host)
    with Outage(gather(mixed(site), within=network.clients)) as outage:
        network.drop(only_replies=only_replies)
        outage.met()
        network.deliver()
    check(outage, record_property)


def test_the_certificate_is_swapped_for_a_wrong_one(
    make_certificate, open_site, gather, record_property
):
    *right, ca = make_certificate("right")
    *wrong, _ = make_certificate("wrong")
    site = open_site(certificate=right)
    trusting = [(api, client | {"ca_file": str(ca)}) for api, client in mixed(site)]
    with Outage(gather(trusting)) as outage:
        site.restart_front(wrong)
        outage.met()
        site.restart_front(right)
    check(outage, record_property)


def test_something_listens_and_never_answers(open_site, gather, record_property):
    site = open_site()
    with Outage(gather(mixed(site))) as outage:
        kill(site.front)
        silence = site.listen_in_silence()
        outage.met()
        for listener in silence:
            listener.close()
        site.restart_front()
    check(outage, record_property)
