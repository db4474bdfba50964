"""What `onward refer` makes of its options."""

import json

from contracts.submissions import Submission
from services.cli.refer import accepted


def test_services_and_types_are_accepted_in_order() -> None:
    """An id of digits is an id; a type says that it is one. A submission takes what is made of them."""
    made = accepted(["elver-vale-ucr", "type:135", "123"])
    assert [{"service": "elver-vale-ucr"}, {"service_type": 135}, {"service": "123"}] == made
    whole = {"patient": {}, "position": {"latitude": 52.9, "longitude": -1.2}, "presentation": "fall", "accept": made}
    assert 3 == len(Submission.model_validate_json(json.dumps(whole)).accept)


def test_any_is_any() -> None:
    """Only by itself."""
    assert ("any", [{"service": "any"}, {"service": "S1"}]) == (accepted(["any"]), accepted(["any", "S1"]))


def test_what_is_no_type_is_left_to_be_refused() -> None:
    """The answer names the fault by its pointer."""
    assert [{"service_type": "ed"}] == accepted(["type:ed"])
