"""The bars: when they pass, when they fail, when they may not be judged."""

import pytest

from tests.bench import campaign, cases, load, machine, measure, report

TWO_CORES = machine.Cores(under_test=1, others=0, allowed=2)
ONE_CORE = machine.Cores(under_test=0, others=0, allowed=1)


def sample(
    subject: str, calls: int, cpu_us: int, foreign_share: float = 0, p50_us: int = 1_000
) -> measure.Sample:
    """One run of one second at the bar's own case."""
    return measure.Sample(
        case=cases.BAR_CASE,
        subject=subject,
        in_flight=cases.BAR_IN_FLIGHT,
        load=load.LoadResult(
            window_ns=1_000_000_000,
            calls=calls,
            events=0,
            answered=calls,
            streaming_at_end=0,
            latency=load.Latency(p50_us, 2 * p50_us, 3 * p50_us, 4 * p50_us),
            first_event=None,
            errors=0,
            first_error=None,
        ),
        cpu_us=cpu_us,
        helper_cpu_us=0,
        other_core_share=0.5,
        foreign_share=foreign_share,
        pss_before_kib=1,
        pss_at_end_kib=1,
        written_bytes=0,
    )


def verdicts(
    bare: list[int],
    ours: list[int],
    *,
    cores: machine.Cores = TWO_CORES,
    problems: tuple[str, ...] = (),
    cpu_us_per_call: int = 300,
    foreign_share: float = 0,
) -> list[report.Verdict]:
    findings = campaign.Findings(problems=list(problems))
    for its, mine in zip(bare, ours, strict=True):
        for made in (
            sample(campaign.PASS_THROUGH, its, its * cpu_us_per_call, foreign_share),
            sample(campaign.SIDECAR, mine, mine * 500),
        ):
            findings.runs.append(campaign.Run("plain upstream", made))
    return report.Report(findings, {}, cores).verdicts()


@pytest.mark.parametrize(
    ("ours", "passed"),
    [([60, 60, 60], True), ([59, 60, 61], True), ([90, 59, 59], False), ([59, 59, 59], False)],
)
def test_the_ratio_is_of_the_medians_and_60_percent_is_enough(
    ours: list[int], passed: bool
) -> None:
    _, ratio = verdicts([100, 100, 100], ours)
    assert ratio.passed is passed


@pytest.mark.parametrize(("cpu_us", "passed"), [(330, True), (331, False)])
def test_the_pass_through_itself_may_cost_330_microseconds(cpu_us: int, passed: bool) -> None:
    yardstick, _ = verdicts([100], [80], cpu_us_per_call=cpu_us)
    assert yardstick.passed is passed


def test_nothing_is_judged_on_one_core() -> None:
    assert [bar.passed for bar in verdicts([100], [80], cores=ONE_CORE)] == [None, None]


def test_nothing_is_judged_when_a_run_was_invalid() -> None:
    bars = verdicts([100], [80], problems=("a wrong answer",))
    assert [bar.passed for bar in bars] == [None, None]


def test_neighbours_on_the_machine_are_named_beside_the_bars() -> None:
    assert all("CONTENDED" in bar.measured for bar in verdicts([100], [80], foreign_share=0.5))
    assert not any("CONTENDED" in bar.measured for bar in verdicts([100], [80]))


def test_added_latency_is_what_comes_on_top_of_no_gateway_at_all() -> None:
    findings = campaign.Findings()
    for subject, p50_us in ((campaign.DIRECT, 1_000), (campaign.PASS_THROUGH, 3_500)):
        findings.runs.append(campaign.Run("plain upstream", sample(subject, 100, 100, 0, p50_us)))
    lines = list(report.Report(findings, {}, TWO_CORES).lines())
    row = next(line for line in lines if campaign.PASS_THROUGH in line)
    assert row.split()[4:8] == ["3.50", "10.50", "2.50", "7.50"]


def telemetry(off: list[int], on: list[int], *, foreign_share: float = 0) -> report.Verdict:
    """The verdict on so many CPU microseconds a call, by round."""
    findings = campaign.Findings()
    for without, watched in zip(off, on, strict=True):
        for name, cpu_us in ((campaign.SIDECAR, without), (campaign.WATCHED, watched)):
            made = sample(name, 1_000, 1_000 * cpu_us, foreign_share)
            findings.runs.append(campaign.Run(campaign.TELEMETRY, made))
    (verdict,) = report.Report(findings, {}, TWO_CORES).verdicts()
    return verdict


@pytest.mark.parametrize(
    ("on", "passed"), [([310, 305, 400], True), ([316, 330, 300], False), ([300, 290, 299], True)]
)
def test_telemetry_is_judged_by_the_median_of_what_it_adds_in_a_round(
    on: list[int], passed: bool
) -> None:
    assert telemetry([300, 300, 300], on).passed is passed


def test_what_telemetry_adds_is_told_with_its_spread() -> None:
    verdict = telemetry([300, 200], [306, 216], foreign_share=0.5)
    assert verdict.measured.startswith("+5.0 % [+2.0 to +8.0 by round, 2 rounds]")
    assert "CONTENDED" in verdict.measured
