"""What may be attached to a referral: told by its content, in pieces of any size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referrals.documents import MEDIA_TYPES, Content, MediaType, NotWhatItSays
from tests.document_examples import WHOLE


def reading(media_type: MediaType, body: bytes, size: int = 7) -> Content:
    """The content, once it has passed by in pieces of a size."""
    content = Content(media_type)
    for start in range(0, len(body), size):
        content.take(body[start : start + size])
    content.end()
    return content


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_each_form_is_taken_for_itself_and_for_no_other(media_type: MediaType) -> None:
    """Whatever it is sent as; plain text is what none of the others is."""
    taken = []
    for sent_as in MEDIA_TYPES:
        try:
            reading(sent_as, WHOLE[media_type])
            taken.append(sent_as)
        except NotWhatItSays:
            pass
    assert [media_type] == [one for one in taken if (one, media_type) != ("text/plain", "application/pdf")]


@given(st.sampled_from(MEDIA_TYPES), st.integers(1, 600))
def test_the_size_of_the_pieces_makes_no_difference(media_type: MediaType, size: int) -> None:
    """Also where a piece ends amid the first bytes, or amid a letter."""
    content, whole = reading(media_type, WHOLE[media_type], size), reading(media_type, WHOLE[media_type], 10_000)
    assert (len(WHOLE[media_type]), whole.sha256) == (content.bytes, content.sha256)


@pytest.mark.parametrize("media_type", [one for one in MEDIA_TYPES if one != "text/plain"])
def test_half_a_document_is_not_one(media_type: MediaType) -> None:
    """Its end is missing, or all but a few bytes."""
    for length in (3, len(WHOLE[media_type]) // 2):
        with pytest.raises(NotWhatItSays):
            reading(media_type, WHOLE[media_type][:length])


@pytest.mark.parametrize(
    ("media_type", "body", "said"),
    [
        ("application/pdf", b"", "empty"),
        ("text/plain", b"", "empty"),
        ("application/pdf", b"<html><script>", "does not begin as a PDF"),
        ("image/png", WHOLE["image/jpeg"], "looks like a JPEG picture"),
        ("application/pdf", b"MZ" + WHOLE["application/pdf"], "does not begin as a PDF"),
        ("text/plain", b"Caf\xe9", "not text in UTF-8"),
        ("text/plain", b"half a letter \xc3", "not text in UTF-8"),
        ("text/plain", b"a\x00b", "control characters"),
        ("text/plain", b"\x1b[2J", "control characters"),
    ],
)
def test_what_is_wrong_is_said(media_type: MediaType, body: bytes, said: str) -> None:
    """What it was taken for, and what it looks like."""
    with pytest.raises(NotWhatItSays, match=said):
        reading(media_type, body, 4096)
