"""What providers say, read into events. The samples follow the documentation of SES and of SparkPost."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from django.test import RequestFactory

from post_office.models import RecipientDeliveryStatus as Status
from post_office.webhooks import ESPEvent, SESWebhookHandler, SparkPostWebhookHandler
from post_office.webhooks.payload import InvalidJSON, Malformed, moment, moment_of_epoch

# --- SES --------------------------------------------------------------------------------------

MAIL: dict[str, Any] = {
    "timestamp": "2026-03-01T08:00:00.000Z",
    "messageId": "0100019500000000-aaaa-bbbb-000000",
    "source": "shop@example.com",
    "sourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
    "sendingAccountId": "123456789012",
    "destination": ["ann@example.com"],
    "headersTruncated": False,
    "headers": [{"name": "From", "value": "shop@example.com"}, {"name": "Message-ID", "value": "<1@shop>"}],
    "commonHeaders": {
        "from": ["Shop <shop@example.com>"],
        "to": ["Ann <ann@example.com>"],
        "messageId": "<1@shop>",
        "subject": "Your order",
    },
    "tags": {"ses:configuration-set": ["shop"]},
}
WHEN = "2026-03-01T08:00:09.123Z"

SES: list[tuple[str, dict[str, Any], list[tuple[Status, str, str, str]]]] = [
    ("Send", {"send": {}}, [(Status.ACCEPTED, "ann@example.com", "", "Send")]),
    (
        "Delivery",
        {"delivery": {
            "timestamp": WHEN, "processingTimeMillis": 546,
            "recipients": ["ann@example.com", "bob@example.com"],
            "smtpResponse": "250 2.6.0 Message received", "reportingMTA": "a8-70.smtp-out.amazonses.com",
        }},
        [
            (Status.DELIVERED, "ann@example.com", "250 2.6.0 Message received", "Delivery"),
            (Status.DELIVERED, "bob@example.com", "250 2.6.0 Message received", "Delivery"),
        ],
    ),
    (
        "Bounce",
        {"bounce": {
            "timestamp": WHEN, "feedbackId": "fb-1", "bounceType": "Permanent", "bounceSubType": "General",
            "reportingMTA": "dsn; mx.example.com",
            "bouncedRecipients": [
                {"emailAddress": "ann@example.com", "action": "failed", "status": "5.1.1",
                 "diagnosticCode": "smtp; 550 5.1.1 user unknown"},
                {"emailAddress": "bob@example.com", "status": "5.1.1"},
                {"emailAddress": "cy@example.com"},
            ],
        }},
        [
            (Status.HARD_BOUNCED, "ann@example.com", "smtp; 550 5.1.1 user unknown", "Bounce:Permanent"),
            (Status.HARD_BOUNCED, "bob@example.com", "5.1.1", "Bounce:Permanent"),
            (Status.HARD_BOUNCED, "cy@example.com", "General", "Bounce:Permanent"),
        ],
    ),
    (
        "Bounce",
        {"bounce": {"timestamp": WHEN, "bounceType": "Transient", "bounceSubType": "MailboxFull",
                    "bouncedRecipients": [{"emailAddress": "ann@example.com"}]}},
        [(Status.SOFT_BOUNCED, "ann@example.com", "MailboxFull", "Bounce:Transient")],
    ),
    (
        "Bounce",
        {"bounce": {"timestamp": WHEN, "bounceType": "Undetermined", "bounceSubType": "Undetermined",
                    "bouncedRecipients": [{"emailAddress": "ann@example.com"}]}},
        [(Status.UNDETERMINED_BOUNCED, "ann@example.com", "Undetermined", "Bounce:Undetermined")],
    ),
    (
        "Complaint",
        {"complaint": {"timestamp": WHEN, "feedbackId": "fb-2", "complaintSubType": None,
                       "complaintFeedbackType": "abuse", "userAgent": "ISP/1.0",
                       "complainedRecipients": [{"emailAddress": "ann@example.com"}]}},
        [(Status.SPAM_COMPLAINT, "ann@example.com", "abuse", "Complaint")],
    ),
    (
        "Complaint",
        {"complaint": {"timestamp": WHEN, "feedbackId": "fb-3", "complaintFeedbackType": "not-spam",
                       "complainedRecipients": [{"emailAddress": "ann@example.com"}]}},
        [],
    ),
    (
        "Open",
        {"open": {"timestamp": WHEN, "ipAddress": "192.0.2.1", "userAgent": "Mozilla/5.0"}},
        [(Status.OPENED, "ann@example.com", "Mozilla/5.0", "Open")],
    ),
    (
        "Click",
        {"click": {"timestamp": WHEN, "ipAddress": "192.0.2.1", "userAgent": "Mozilla/5.0",
                   "link": "https://example.com/?a=1", "linkTags": {"x": ["y"]}}},
        [(Status.CLICKED, "ann@example.com", "https://example.com/?a=1", "Click")],
    ),
    (
        "DeliveryDelay",
        {"deliveryDelay": {
            "timestamp": WHEN, "delayType": "TransientCommunicationFailure",
            "expirationTime": "2026-03-01T20:00:00.000Z",
            "delayedRecipients": [
                {"emailAddress": "ann@example.com", "status": "4.4.1",
                 "diagnosticCode": "smtp; 421 4.4.1 busy"},
                {"emailAddress": "bob@example.com"},
            ],
        }},
        [
            (Status.DEFERRED, "ann@example.com", "smtp; 421 4.4.1 busy", "DeliveryDelay"),
            (Status.DEFERRED, "bob@example.com", "TransientCommunicationFailure", "DeliveryDelay"),
        ],
    ),
    (
        "Reject",
        {"reject": {"reason": "Bad content"}},
        [(Status.UNDETERMINED_BOUNCED, "ann@example.com", "Bad content", "Reject")],
    ),
    (
        "Rendering Failure",
        {"failure": {"templateName": "t", "errorMessage": "No 'name'"}},
        [(Status.UNDETERMINED_BOUNCED, "ann@example.com", "No 'name'", "Rendering Failure")],
    ),
    (
        "Subscription",
        {"subscription": {
            "contactList": "news", "timestamp": WHEN, "source": "UnsubscribeHeader",
            "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": []},
            "oldTopicPreferences": {"unsubscribeAll": False, "topicSubscriptionStatus": []},
        }},
        [(Status.UNSUBSCRIBED, "ann@example.com", "UnsubscribeHeader", "Subscription")],
    ),
    (
        "Subscription",
        {"subscription": {
            "newTopicPreferences": {"topicSubscriptionStatus": [
                {"topicName": "a", "subscriptionStatus": "OptOut"},
                {"topicName": "b", "subscriptionStatus": "OptOut"}]},
            "oldTopicPreferences": {"topicSubscriptionStatus": [
                {"topicName": "a", "subscriptionStatus": "OptOut"},
                {"topicName": "b", "subscriptionStatus": "OptIn"}]},
        }},
        [(Status.UNSUBSCRIBED, "ann@example.com", "", "Subscription")],
    ),
    # One who joins b and stays out of a has left nothing.
    (
        "Subscription",
        {"subscription": {
            "newTopicPreferences": {"topicSubscriptionStatus": [
                {"topicName": "a", "subscriptionStatus": "OptOut"},
                {"topicName": "b", "subscriptionStatus": "OptIn"}]},
            "oldTopicPreferences": {"topicSubscriptionStatus": [
                {"topicName": "a", "subscriptionStatus": "OptOut"}]},
        }},
        [],
    ),
    ("AmazonSnsSubscriptionSucceeded", {}, []),
]  # fmt: skip


def of_ses(message: object) -> list[ESPEvent]:
    text = message if isinstance(message, str) else json.dumps(message)
    return SESWebhookHandler().parse_events({"Type": "Notification", "MessageId": "m", "Message": text})


@pytest.mark.parametrize("dialect", ["eventType", "notificationType"])
@pytest.mark.parametrize(("kind", "details", "told"), SES)
def test_ses_tells_of_each_recipient(
    kind: str, details: dict[str, Any], told: list[tuple[Status, str, str, str]], dialect: str
) -> None:
    events = of_ses({dialect: kind, "mail": MAIL, **details})
    assert [(e.delivery_status, e.recipient, e.diagnostic, e.raw_event) for e in events] == told
    for event in events:
        assert event.message_id == "0100019500000000-aaaa-bbbb-000000"
        assert event.header_message_id == "<1@shop>"
        assert (event.subject, event.to_addresses) == ("Your order", ["ann@example.com"])


def test_both_dialects_of_ses_give_one_report_one_id() -> None:
    kind, details, _ = SES[1]
    ids = {
        of_ses({dialect: kind, "mail": MAIL, **details})[0].event_id
        for dialect in ("eventType", "notificationType")
    }
    assert len(ids) == 1


def test_reports_of_ses_that_differ_have_different_ids() -> None:
    opens = [{"open": {"timestamp": f"2026-03-01T08:00:0{second}.000Z"}} for second in (1, 2)]
    clicks = [{"click": {"timestamp": WHEN, "link": link}} for link in ("https://a", "https://b")]
    bounces = [
        {"bounce": {"feedbackId": told, "bouncedRecipients": [{"emailAddress": "a@x"}]}} for told in "12"
    ]
    reports: list[dict[str, Any]] = [*opens, *clicks, *bounces]
    ids = [
        of_ses({"eventType": next(iter(report)).capitalize(), "mail": MAIL, **report})[0].event_id
        for report in reports
    ]
    assert len(set(ids)) == 6


def test_the_moment_is_that_of_the_event_or_else_of_the_mail() -> None:
    bounced = of_ses({"eventType": SES[2][0], "mail": MAIL, **SES[2][1]})[0]
    assert bounced.timestamp == datetime(2026, 3, 1, 8, 0, 9, 123000, tzinfo=timezone.utc)
    assert of_ses({"eventType": "Send", "mail": MAIL})[0].timestamp == datetime(
        2026, 3, 1, 8, tzinfo=timezone.utc
    )


def test_the_message_id_stands_among_the_headers_too() -> None:
    mail = {**MAIL, "commonHeaders": {}}
    assert of_ses({"eventType": "Send", "mail": mail})[0].header_message_id == "<1@shop>"
    mail = {**MAIL, "commonHeaders": {}, "headers": []}
    assert of_ses({"eventType": "Send", "mail": mail})[0].header_message_id is None


def test_ses_cannot_tell_who_of_several_opened_a_mail() -> None:
    mail = {**MAIL, "destination": ["ann@example.com", "bob@example.com"]}
    (event,) = of_ses({"eventType": "Open", "mail": mail, "open": {"timestamp": WHEN}})
    assert event.recipient == ""


def test_a_note_of_ses_is_no_event() -> None:
    assert of_ses("Successfully validated SNS topic for Amazon SES event publishing.") == []


def test_raw_delivery_has_no_envelope() -> None:
    message = {"eventType": "Send", "mail": MAIL}
    assert SESWebhookHandler().parse_events(message) == of_ses(message)


def test_ses_is_read_from_a_request_or_from_what_is_in_it() -> None:
    payload = {"Type": "Notification", "Message": json.dumps({"eventType": "Send", "mail": MAIL})}
    request = RequestFactory().post("/", payload, content_type="application/json")
    assert SESWebhookHandler().parse_events(request) == SESWebhookHandler().parse_events(payload) != []


BOUNCE: dict[str, Any] = {"eventType": "Bounce", "mail": MAIL, **SES[2][1]}
MALFORMED_SES: list[Any] = [
    [1], [], {**BOUNCE, "mail": []}, {**BOUNCE, "mail": "x"}, {**BOUNCE, "bounce": [1]},
    {**BOUNCE, "eventType": {}},
    {**BOUNCE, "bounce": {"bouncedRecipients": {}}}, {**BOUNCE, "bounce": {"bouncedRecipients": ["x"]}},
    {**BOUNCE, "bounce": {"bouncedRecipients": [{"emailAddress": ["x"]}]}},
    {**BOUNCE, "bounce": {"bounceType": {}, "bouncedRecipients": [{}]}},
    {**BOUNCE, "mail": {**MAIL, "messageId": {}}}, {**BOUNCE, "mail": {**MAIL, "destination": "x"}},
    {**BOUNCE, "mail": {**MAIL, "commonHeaders": "x"}},
    {**BOUNCE, "mail": {**MAIL, "commonHeaders": {}, "headers": {"a": 1}}},
    {"eventType": "Send", "mail": {**MAIL, "timestamp": True}},
    {"eventType": "Delivery", "delivery": {"recipients": [["x"]]}},
    {"eventType": "Subscription", "subscription": {"newTopicPreferences": {"topicSubscriptionStatus": [1]}}},
]  # fmt: skip


@pytest.mark.parametrize("message", MALFORMED_SES)
def test_ses_with_wrong_types_is_malformed(message: Any) -> None:
    with pytest.raises(Malformed):
        of_ses(message)


def test_what_is_missing_is_empty() -> None:
    assert of_ses({"eventType": "Bounce"}) == []
    (event,) = of_ses({"eventType": "Bounce", "bounce": {"bouncedRecipients": [{}]}})
    assert (event.recipient, event.message_id, event.timestamp) == ("", None, None)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"eventType": NaN', "[" + "1" * 5000 + "]"])
def test_what_is_no_json_says_so(text: str) -> None:
    with pytest.raises(InvalidJSON):
        of_ses(text)


# --- SparkPost --------------------------------------------------------------------------------

EVENT: dict[str, Any] = {
    "type": "delivery",
    "event_id": "92356927693813856",
    "message_id": "000443ee14578172be22",
    "transmission_id": "65832150921904138",
    "rcpt_to": "ann@example.com",
    "raw_rcpt_to": "Ann@example.com",
    "subject": "Your order",
    "timestamp": "1772352009",
    "rcpt_meta": {"order": "17"},
    "rcpt_tags": ["shop"],
    "msg_size": "1337",
}


def of_sparkpost(payload: object) -> list[ESPEvent]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    request = RequestFactory().post("/", body, content_type="application/json")
    return SparkPostWebhookHandler().parse_events(request)


def batch(wrapper: str = "message_event", **fields: Any) -> list[Any]:
    return [{"msys": {wrapper: {**EVENT, **fields}}}]


SPARKPOST: list[tuple[str, dict[str, Any], Status | None]] = [
    ("message_event", {"type": "injection"}, Status.ACCEPTED),
    ("message_event", {"type": "delivery"}, Status.DELIVERED),
    ("message_event", {"type": "delay", "bounce_class": "21"}, Status.DEFERRED),
    ("track_event", {"type": "open"}, Status.OPENED),
    ("track_event", {"type": "initial_open"}, Status.OPENED),
    ("track_event", {"type": "click", "target_link_url": "https://example.com"}, Status.CLICKED),
    ("message_event", {"type": "spam_complaint", "fbtype": "abuse"}, Status.SPAM_COMPLAINT),
    ("unsubscribe_event", {"type": "list_unsubscribe"}, Status.UNSUBSCRIBED),
    ("unsubscribe_event", {"type": "link_unsubscribe"}, Status.UNSUBSCRIBED),
    ("message_event", {"type": "bounce"}, Status.HARD_BOUNCED),
    ("message_event", {"type": "bounce", "bounce_class": ""}, Status.HARD_BOUNCED),
    ("message_event", {"type": "bounce", "bounce_class": "1"}, Status.UNDETERMINED_BOUNCED),
    *(
        ("message_event", {"type": kind, "bounce_class": code}, Status.HARD_BOUNCED)
        for kind in ("bounce", "out_of_band", "policy_rejection")
        for code in ("10", "25", "30", "80", "85", "89", "90", 10)
    ),
    *(
        ("message_event", {"type": "bounce", "bounce_class": code}, Status.SOFT_BOUNCED)
        for code in ("20", "21", "40", "60", "70", "100")
    ),
    ("relay_event", {"type": "relay_delivery"}, None),
    ("message_event", {"type": "sms_status"}, None),
    ("message_event", {"type": ""}, None),
    ("message_event", {"rcpt_to": None}, None),
    ("some_new_event", {"type": "delivery"}, None),
]


@pytest.mark.parametrize(("wrapper", "fields", "status"), SPARKPOST)
def test_sparkpost_tells_a_status(wrapper: str, fields: dict[str, Any], status: Status | None) -> None:
    events = of_sparkpost(batch(wrapper, **fields))
    assert [event.delivery_status for event in events] == ([status] if status else [])


def test_sparkpost_tells_what_the_mail_is_known_by() -> None:
    assert of_sparkpost(
        batch(type="bounce", bounce_class="10", raw_reason="550 5.1.1 unknown", reason="550")
    ) == [
        ESPEvent(
            "bounce",
            Status.HARD_BOUNCED,
            "ann@example.com",
            "000443ee14578172be22",
            datetime(2026, 3, 1, 8, 0, 9, tzinfo=timezone.utc),
            "Your order",
            ["ann@example.com"],
            transmission_id="65832150921904138",
            event_id="sparkpost:92356927693813856",
            diagnostic="550 5.1.1 unknown",
        )
    ]


@pytest.mark.parametrize("name", ["message_id", "Message-ID", "message-id"])
def test_our_message_id_is_found_in_the_metadata(name: str) -> None:
    (event,) = of_sparkpost(batch(rcpt_meta={"order": 17, name: "<1@shop>"}))
    assert event.header_message_id == "<1@shop>"


def test_metadata_that_is_no_message_id_is_left_alone() -> None:
    (event,) = of_sparkpost(batch(rcpt_meta={"message_id": {"x": 1}}))
    assert event.header_message_id is None


def test_sparkpost_comes_in_batches_and_in_answers() -> None:
    assert len(of_sparkpost(batch() + batch() + [{"msys": {}}])) == 2
    assert len(of_sparkpost({"results": [EVENT, EVENT]})) == 2
    assert len(of_sparkpost(batch()[0])) == 1
    assert of_sparkpost([{"msys": {}}]) == of_sparkpost([]) == of_sparkpost({}) == []


@pytest.mark.parametrize(
    "payload",
    [
        [1], "x", 1, None, [None], [[]], [{"msys": []}], [{"msys": {"message_event": []}}], {"results": {}},
        {"results": [1]}, batch(type=[]), batch(rcpt_to={}), batch(message_id=[]), batch(timestamp=True),
        batch(rcpt_meta=[]), batch(type="bounce", bounce_class=[]), batch(subject={}),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_sparkpost_with_wrong_types_is_malformed(payload: Any) -> None:
    with pytest.raises(Malformed):
        of_sparkpost(payload)


@pytest.mark.parametrize("body", [b"", b"[", b"\xff", b"[" * 100_000])
def test_sparkpost_that_is_no_json_says_so(body: bytes) -> None:
    with pytest.raises(InvalidJSON):
        of_sparkpost(body)


# --- who speaks -------------------------------------------------------------------------------


def basic(credentials: bytes) -> str:
    return "Basic " + base64.b64encode(credentials).decode()


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (basic(b"user:p\xc3\xa4ss:word"), True),
        (basic(b"user:p\xc3\xa4ss:word").replace("Basic", "basic"), True),
        (basic(b"user:p\xe4ss:word"), False),
        (basic(b"user:wrong"), False),
        (basic(b"user"), False),
        (basic(b""), False),
        ("Basic", False),
        ("Basic !!!", False),
        ("Basic \xff", False),
        ("Bearer abc", False),
        ("", False),
    ],
)
def test_sparkpost_must_know_the_password(header: str, accepted: bool, settings: Any) -> None:
    settings.POST_OFFICE = {"WEBHOOKS": {"SPARKPOST": {"USERNAME": "user", "PASSWORD": "päss:word"}}}
    request = RequestFactory().post("/", headers={"Authorization": header})
    assert SparkPostWebhookHandler().verify_signature(request) is accepted


@pytest.mark.parametrize(
    "config", [{}, {"USERNAME": "user"}, {"PASSWORD": "word"}, {"USERNAME": "", "PASSWORD": ""}]
)
def test_without_a_password_sparkpost_is_refused(config: dict[str, str], settings: Any, caplog: Any) -> None:
    settings.POST_OFFICE = {"WEBHOOKS": {"SPARKPOST": config}}
    header = basic(f"{config.get('USERNAME', '')}:{config.get('PASSWORD', '')}".encode())
    request = RequestFactory().post("/", headers={"Authorization": header})
    assert SparkPostWebhookHandler().verify_signature(request) is False
    assert "Set USERNAME and PASSWORD" in caplog.text


def test_whoever_verifies_nothing_believes_everybody(settings: Any) -> None:
    settings.POST_OFFICE = {"WEBHOOKS": {name: {"VERIFY_SIGNATURE": False} for name in ("SES", "SPARKPOST")}}
    request = RequestFactory().post("/", {}, content_type="application/json")
    assert SparkPostWebhookHandler().verify_signature(request)
    assert SESWebhookHandler().verify_signature(request)


# --- anything, anywhere -----------------------------------------------------------------------

ANYTHING: list[Any] = [None, True, 1, 1e999, "", "x", "\0\ud800", [], [None], [1], ["x"], [[]], {}, {"x": 1}]


def altered(value: Any) -> Iterator[Any]:
    """Yield this JSON with each of its parts, in turn, replaced by anything."""
    yield from ANYTHING
    if isinstance(value, dict):
        for key in value:
            yield from ({**value, key: other} for other in altered(value[key]))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in altered(item))


def said_of(read: Callable[[Any], list[ESPEvent]], payload: Any) -> str:
    """Read a payload. What is raised, but for the refusal, is a fault of ours."""
    try:
        events = read(payload)
    except Malformed:
        return "refused"
    assert all(isinstance(event.recipient, str) for event in events)
    return "read"


@pytest.mark.parametrize(("kind", "details", "told"), SES)
def test_whatever_ses_says_is_read_or_refused(kind: str, details: dict[str, Any], told: Any) -> None:
    payloads = altered({"eventType": kind, "mail": MAIL, **details})
    assert {said_of(of_ses, payload) for payload in payloads} == {"read", "refused"}


def test_whatever_sparkpost_says_is_read_or_refused() -> None:
    event = {**EVENT, "type": "bounce", "bounce_class": "10", "rcpt_meta": {"message_id": "<1@shop>"}}
    payloads = altered([{"msys": {"message_event": event}, "results": [event]}])
    assert {said_of(of_sparkpost, payload) for payload in payloads} == {"read", "refused"}


# --- moments ----------------------------------------------------------------------------------


def test_moments_are_read_or_none() -> None:
    at = datetime(2026, 3, 1, 8, 0, 9, tzinfo=timezone.utc)
    assert (
        moment("2026-03-01T08:00:09Z")
        == moment("2026-03-01T08:00:09")
        == moment("2026-03-01T09:00:09+01:00")
        == at
    )
    assert moment_of_epoch("1772352009") == at
    for text in ("", "yesterday", "2026-13-01T00:00:00Z"):
        assert moment(text) is None
    for text in ("", "soon", "nan", "inf", "1e300", "-1e18"):
        assert moment_of_epoch(text) is None
