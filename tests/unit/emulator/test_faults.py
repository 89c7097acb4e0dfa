import pytest

from continuum_upstash.emulator.faults.model import Fault, FaultKind, Faults, Side


def test_a_fault_strikes_as_often_as_it_was_told():
    faults = Faults()
    faults.add(Fault.read({"kind": "reset", "times": 2}))
    struck = [faults.take(FaultKind.RESET, Side.REST) is not None for _ in range(4)]
    assert struck == [True, True, False, False]


def test_a_fault_of_both_sides_strikes_either():
    faults = Faults()
    faults.add(Fault.read({"kind": "hang", "side": "both"}))
    assert faults.take(FaultKind.HANG, Side.REST)
    assert faults.take(FaultKind.HANG, Side.TCP)


def test_a_removed_fault_strikes_no_more():
    faults = Faults()
    number = faults.add(Fault.read({"kind": "quota"}))
    faults.remove(number)
    assert faults.take(FaultKind.QUOTA, Side.REST) is None


def test_jitter_stays_within_its_bounds_and_above_zero():
    fault = Fault.read({"kind": "latency", "seconds": 0.1, "jitter": 0.2})
    delays = [fault.delay for _ in range(200)]
    assert 0 <= min(delays) < max(delays) <= 0.3 + 1e-9


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"kind": "flood"}, "no fault 'flood'; there is refuse"),
        ({}, "no fault None"),
        ({"kind": "latency", "second": 1}, "no option second"),
        ({"kind": "quota", "side": "tcp"}, "REST side only"),
        ({"kind": "refuse", "times": 1}, "no count of requests"),
        ({"kind": "latency", "seconds": "soon"}, "could not convert"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(options, problem):
    with pytest.raises(ValueError, match=problem):
        Fault.read(options)
