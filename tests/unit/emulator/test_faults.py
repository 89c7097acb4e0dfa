import pytest

from continuum_upstash.emulator.faults.model import Fault, FaultKind, Faults, Side


def test_a_fault_applies_to_the_given_number_of_requests():
    faults = Faults()
    faults.add(Fault.parse({"kind": "reset", "times": 2}))
    applied = [faults.consume(FaultKind.RESET, Side.REST) is not None for _ in range(4)]
    assert applied == [True, True, False, False]


def test_a_fault_of_both_sides_applies_to_rest_and_tcp():
    faults = Faults()
    faults.add(Fault.parse({"kind": "hang", "side": "both"}))
    assert faults.consume(FaultKind.HANG, Side.REST)
    assert faults.consume(FaultKind.HANG, Side.TCP)


def test_a_removed_fault_no_longer_applies():
    faults = Faults()
    number = faults.add(Fault.parse({"kind": "quota"}))
    faults.remove(number)
    assert faults.consume(FaultKind.QUOTA, Side.REST) is None


def test_jitter_stays_within_its_bounds_and_above_zero():
    fault = Fault.parse({"kind": "latency", "seconds": 0.1, "jitter": 0.2})
    delays = [fault.delay for _ in range(200)]
    assert 0 <= min(delays) < max(delays) <= 0.3 + 1e-9


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"kind": "flood"}, "unknown fault 'flood'; known faults: refuse"),
        ({}, "unknown fault None"),
        ({"kind": "latency", "second": 1}, "unknown fault option second"),
        ({"kind": "http", "side": "tcp"}, "the REST side only"),
        ({"kind": "refuse", "times": 1}, "does not accept `times`"),
        ({"kind": "throttle", "rate": 0}, "`rate` must be positive"),
        ({"kind": "latency", "seconds": "soon"}, "could not convert"),
    ],
)
def test_an_invalid_fault_is_rejected(options, problem):
    with pytest.raises(ValueError, match=problem):
        Fault.parse(options)
