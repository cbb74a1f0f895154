"""The mail that every benchmark sends: 1 kB of text and 2 kB of HTML, with a recipient for each number."""

SENDER = "Shop <shop@example.com>"
_WORDS = "The parcel that you ordered left our house this morning and should arrive before the week is over. "
TEXT = ("\n".join([_WORDS.strip()] * 11))[:1000] + "\n"
HTML = ("<html><body>\n" + "\n".join([f'<p class="news">{_WORDS.strip()}</p>'] * 18))[
    :2000
] + "</p>\n</body></html>\n"


def recipient(number: int) -> str:
    return f"customer{number}@example.com"


def subject(number: int) -> str:
    return f"Your order {number} is on its way"
