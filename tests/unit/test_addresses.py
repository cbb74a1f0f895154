import random
from email.policy import default

import pytest
from django.core.exceptions import ValidationError

from post_office.addresses import bare_address, join_mailboxes, split_mailboxes, validate_mailbox

LISTS = [
    ("", []),
    ("ann@example.com", ["ann@example.com"]),
    ("ann@example.com, bob@example.com", ["ann@example.com", "bob@example.com"]),
    # trailing and doubled commas, as old code stored them
    ("ann@example.com,, bob@example.com,", ["ann@example.com", "bob@example.com"]),
    # a comma in a quoted display name
    ('"Doe, John" <j@example.com>, ann@example.com', ['"Doe, John" <j@example.com>', "ann@example.com"]),
    # an escaped quote inside the quotes
    (r'"Doe, \"J, J\"" <john@example.com>', [r'"Doe, \"J, J\"" <john@example.com>']),
    # a comma in a quoted local part
    ('"a,b"@example.com, ann@example.com', ['"a,b"@example.com', "ann@example.com"]),
    # a comma in a comment, and nested comments
    ("ann@example.com (home, (really, yes)), bob@example.com",
     ["ann@example.com (home, (really, yes))", "bob@example.com"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "mailboxes"), LISTS)
def test_a_list_is_split_at_commas_between_mailboxes(text: str, mailboxes: list[str]) -> None:
    assert split_mailboxes(text) == mailboxes


@pytest.mark.parametrize("mailboxes", [mailboxes for _, mailboxes in LISTS])
def test_joining_and_splitting_changes_nothing(mailboxes: list[str]) -> None:
    assert split_mailboxes(join_mailboxes(mailboxes)) == mailboxes


ACCEPTED = [
    "ann@example.com",
    "Ann <ann@example.com>",
    '"Doe, John" <john@example.com>',
    "Ännchen Müller <ann@example.com>",
    "J. R. O'Neil & Sons <ann@example.com>",
    '"Smith: \\"Sales\\" (EU)" <ann@example.com>',
    '"Dr." Ann "A." Lee <ann@example.com>',
    "ann@exämple.com",
    "root@localhost",
    # the longest local part (RFC 5321, section 4.5.3.1.1), which took for ever
    "x" * 64 + "@example.com",
    "y" * 200 + " <ann@example.com>",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_one_mailbox_is_accepted(text: str) -> None:
    validate_mailbox(text)


REFUSED = [
    "",
    "bad",
    "ann@",
    "ann@example.com, bob@example.com",
    # a second recipient behind a comma
    "Foo <a@example.com>, evil@example.com",
    # a display name with a comma needs quotes; without, it is two mailboxes
    "Doe, John <john@example.com>",
    "Ann <bad>",
    # header injection
    "Ann\nBcc: evil@example.com <ann@example.com>",
    "ann@example.com\r\n",
    "Ann\u2028X <ann@example.com>",
    "Ann\x0cX <ann@example.com>",
    # half of a surrogate pair, which no database holds
    "Ann \udcff <ann@example.com>",
    # what is special needs quotes, or one program reads a name where another reads an address
    "John (Boss <a@example.com>",
    '5" Disk <a@example.com>',
    "c@example.com (<a@example.com>",
    '"<a@example.com>',
    'x" , evil@example.com <c@example.com>',
    "Smith: Sales <a@example.com>",
    "Ann @ Work <a@example.com>",
    "Ann; Bob <a@example.com>",
    "[Ann <a@example.com>",
    "ann\0@example.com",
]


@pytest.mark.parametrize("text", REFUSED)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        validate_mailbox(text)


def test_the_bare_address_is_what_stands_in_the_brackets() -> None:
    assert bare_address('"Doe, John" <john@example.com>') == "john@example.com"
    assert bare_address(" ann@example.com ") == "ann@example.com"


def test_an_accepted_mailbox_stays_one_among_others() -> None:
    """Nothing that is accepted swallows its neighbour, or is split by it."""
    rng = random.Random(7)
    pieces = ["a@example.com", "<", ">", '"', "(", ")", ",", "\\", " ", "Ann", ".", ";", ":", "@", "é", "'"]
    for _ in range(100_000):
        text = "".join(rng.choices(pieces, k=rng.randint(1, 8)))
        try:
            validate_mailbox(text)
        except ValidationError:
            continue
        assert split_mailboxes(join_mailboxes([text, "z@example.org"])) == [text.strip(), "z@example.org"]
        # and Python's own parser reads the same address
        parsed = default.header_factory("To", text)
        assert [address.addr_spec for address in parsed.addresses] == [bare_address(text)], text
