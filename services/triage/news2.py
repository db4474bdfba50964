"""The National Early Warning Score 2 (Royal College of Physicians, 2017), by the chart that the rule pack holds."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from contracts.envelope import Data
from contracts.people import Patient
from contracts.submissions import Consciousness, Observations
from contracts.triage import News2
from services.chassis.lean import lean

LeanNews2 = lean(News2)

Band = Literal["low", "low-medium", "medium", "high"]

PARAMETERS: dict[str, str] = {
    "respiration_per_min": "respiration",
    "oxygen_saturation_percent": "oxygen saturation",
    "on_oxygen": "air or oxygen",
    "systolic_mmhg": "systolic blood pressure",
    "pulse_per_min": "pulse",
    "consciousness": "consciousness",
    "temperature_celsius": "temperature",
}
"""The seven that are scored: their names in a submission's observations, and in words."""

Points = Annotated[int, Field(ge=1, le=3)]


class Steps(Data):
    """A row of the chart: points for a value below or above a limit, outermost first; none in between.

    Limits are the nearest value that has fewer points: `below = [[9, 3], [12, 1]]` says 8 or less 3, 9 to 11 1. So a
    value between two steps of the chart (36.05 °C) has the points of the worse one.
    """

    below: tuple[tuple[float, Points], ...] = ()
    above: tuple[tuple[float, Points], ...] = ()

    def points(self, value: float) -> int:
        """Points for a value in the row's own unit."""
        for limit, points in self.below:
            if value < limit:
                return points
        for limit, points in self.above:
            if value > limit:
                return points
        return 0


def _outermost_first(steps: Steps) -> Steps:
    inwards = [(limit, -points) for limit, points in steps.below]
    outwards = [(-limit, -points) for limit, points in steps.above]
    for limits in (inwards, outwards):
        if any(one[0] >= next_[0] or one[1] >= next_[1] for one, next_ in pairwise(limits)):
            raise ValueError("limits must run from the outermost inwards, with fewer points each")
    if steps.below and steps.above and steps.below[-1][0] > steps.above[-1][0]:
        raise ValueError("the limits below and above must leave values without points between them")
    return steps


Row = Annotated[Steps, AfterValidator(_outermost_first)]


def _every_level(points: dict[Consciousness, int]) -> dict[Consciousness, int]:
    missing = {"alert", "confusion", "voice", "pain", "unresponsive"} - set(points)
    if missing:
        raise ValueError(f"no points for {', '.join(sorted(missing))}")
    return points


class Chart(Data):
    """The chart: one row a parameter, and the totals at which the bands begin."""

    source: Annotated[str, Field(min_length=1)]
    valid_from_years: int = Field(ge=0, description="youngest age that the score is valid for")
    respiration_per_min: Row
    saturation_scale_1: Row
    saturation_scale_2_on_air: Row
    saturation_scale_2_on_oxygen: Row
    on_oxygen: Annotated[int, Field(ge=0, le=2)]
    systolic_mmhg: Row
    pulse_per_min: Row
    consciousness: Annotated[
        dict[Consciousness, Annotated[int, Field(ge=0, le=3)]],
        AfterValidator(_every_level),
    ]
    temperature_celsius: Row
    high_from_total: int = Field(ge=1, le=20)
    medium_from_total: int = Field(ge=1, le=20)
    low_medium_from_single: int = Field(ge=1, le=3)

    @model_validator(mode="after")
    def _bands_in_order(self) -> Self:
        if self.medium_from_total >= self.high_from_total:
            raise ValueError("the medium band must begin below the high one")
        return self


def respiration_points(chart: Chart, respiration: int) -> int:
    """Points for breaths a minute."""
    return chart.respiration_per_min.points(respiration)


def saturation_points(chart: Chart, saturation: int, *, on_oxygen: bool | None, hypercapnic: bool) -> int:
    """Points for oxygen saturation in percent: scale 2 in hypercapnic respiratory failure, else scale 1.

    Scale 2 gives points above 92 on oxygen only. Unknown oxygen counts as air here, which is the lower bound.
    """
    if not hypercapnic:
        return chart.saturation_scale_1.points(saturation)
    if on_oxygen:
        return chart.saturation_scale_2_on_oxygen.points(saturation)
    return chart.saturation_scale_2_on_air.points(saturation)


def oxygen_points(chart: Chart, *, on_oxygen: bool) -> int:
    """Points for breathing oxygen rather than air."""
    return chart.on_oxygen if on_oxygen else 0


def systolic_points(chart: Chart, systolic: int) -> int:
    """Points for systolic blood pressure in mmHg."""
    return chart.systolic_mmhg.points(systolic)


def pulse_points(chart: Chart, pulse: int) -> int:
    """Points for heart beats a minute."""
    return chart.pulse_per_min.points(pulse)


def consciousness_points(chart: Chart, consciousness: Consciousness) -> int:
    """Points for the level of consciousness (ACVPU); confusion is new confusion."""
    return chart.consciousness[consciousness]


def temperature_points(chart: Chart, temperature: float) -> int:
    """Points for body temperature in °C, to any number of decimals."""
    return chart.temperature_celsius.points(temperature)


def why_not_valid(chart: Chart, patient: Patient) -> str | None:
    """Why the score is not valid for this patient; none where it is.

    An unknown age could be a child's. Pregnancy that nobody mentioned counts as none.
    """
    if patient.age is None:
        return f"the age is unknown, and NEWS2 is valid from {chart.valid_from_years} years"
    if patient.age.in_years < chart.valid_from_years:
        return f"the patient is under {chart.valid_from_years} years"
    if patient.pregnant:
        return "the patient is pregnant"
    return None


def band_of(chart: Chart, total: int, highest_single: int) -> Band:
    """The band of a total from 0 to 20, and of the most points that one parameter has."""
    if total >= chart.high_from_total:
        return "high"
    if total >= chart.medium_from_total:
        return "medium"
    if highest_single >= chart.low_medium_from_single:
        return "low-medium"
    return "low"


def score(chart: Chart, seen: Observations) -> News2:
    """The score of what was measured. A missing observation gives no points: the total is then a lower bound.

    Whether the score is valid for the patient at all, `why_not_valid` says.
    """
    points: dict[str, int] = {}
    if seen.respiration_per_min is not None:
        points["respiration_per_min"] = respiration_points(chart, seen.respiration_per_min)
    if seen.oxygen_saturation_percent is not None:
        points["oxygen_saturation_percent"] = saturation_points(
            chart, seen.oxygen_saturation_percent, on_oxygen=seen.on_oxygen, hypercapnic=seen.hypercapnic
        )
    if seen.on_oxygen is not None:
        points["on_oxygen"] = oxygen_points(chart, on_oxygen=seen.on_oxygen)
    if seen.systolic_mmhg is not None:
        points["systolic_mmhg"] = systolic_points(chart, seen.systolic_mmhg)
    if seen.pulse_per_min is not None:
        points["pulse_per_min"] = pulse_points(chart, seen.pulse_per_min)
    if seen.consciousness is not None:
        points["consciousness"] = consciousness_points(chart, seen.consciousness)
    if seen.temperature_celsius is not None:
        points["temperature_celsius"] = temperature_points(chart, seen.temperature_celsius)
    total = sum(points.values())
    highest = max(points.values(), default=0)
    complete = len(points) == len(PARAMETERS)
    return LeanNews2(
        total=total,
        complete=complete,
        missing=() if complete else tuple(name for name in PARAMETERS if name not in points),
        points=points,
        highest_single=highest,
        band=band_of(chart, total, highest),
    )
