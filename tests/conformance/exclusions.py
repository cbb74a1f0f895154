"""What of Django's tests of mail is not run through the queue, one by one, each with its reason.

A test case that is left out as a whole is about something that no message passes. A test that is left out is
run all the same and has to fail: when it passes, or is gone, its line here has to go.
"""

from __future__ import annotations

import django

CASES_LEFT_OUT = {
    # Other backends. What they share with locmem is run through the queue with locmem.
    "BaseEmailBackendTests": "calls the base class of all backends",
    "ConsoleBackendTests": "writes to standard output; the shared tests run with locmem",
    "DummyBackendTests": "sends nothing; the shared tests run with locmem",
    "FileBackendTests": "writes files; the shared tests run with locmem",
    "FileBackendPathLibTests": "writes files; the shared tests run with locmem",
    "SMTPBackendTests": "talks to a server; the shared tests run with locmem",
    "SMTPBackendTestsBase": "has no tests",
    "SMTPBackendStoppedServerTests": "talks to a server which is not there",
    # Insides of Django and of Python.
    "DeprecatedEmailSettingsTests": "makes settings, and sends nothing",
    "DeprecatedInternalsTests": "calls functions of Django that lie below a message",
    "DeprecationWarningTests": "calls functions of Django that lie below a message",
    "LegacyAPINotUsedTests": "looks at what Django's modules import",
    "MailDeprecatedPositionalArgsTests": "looks at warnings about the form of a call",
    "PythonGlobalState": "looks at Python's email package without Django",
}

_IDENTITY = "asks whether an attached part is the very object; one that was stored is an equal one"
_POLICY = "compares the policy, which for queued mail keeps the long tokens of headers whole"
_LOGIN = "opens a connection with a login, which cannot wait in a queue; the queue says so in a warning"
_OPTION = "gives an option that no backend has; the queue says in a warning that it is not kept"
_SILENCE = "wants a warning, as the backend does nothing with fail_silently; the queue honours it"
_NOBODY = "sends a message to nobody, of which the queue accepts none, as Django's SMTP backend does"
_TWICE = "counts how often a message is built; mail is built when it is queued and when it is delivered"

_BY_SERIES = {
    (5, 2): {
        "MailTests.test_all_params_can_be_set_before_send": _LOGIN,
        "MailTests.test_arbitrary_keyword": _OPTION,
        "MailTests.test_decoded_attachments_MIMEText": _IDENTITY,
        "MailTests.test_nonascii_as_string_with_ascii_charset": _TWICE,
    },
    (6, 0): {
        "DeprecatedCompatibilityTests.test_attachments_mimebase_in_constructor": _IDENTITY,
        "MailTests.test_all_params_can_be_set_before_send": _LOGIN,
        "MailTests.test_arbitrary_keyword": _OPTION,
        "MailTests.test_decoded_attachment_text_MIMEPart": _IDENTITY,
        "MailTests.test_message_is_python_email_message": _POLICY,
        "MailTests.test_message_policy_smtputf8": _POLICY,
    },
    (6, 1): {
        "DeprecatedCompatibilityTests.test_attachments_mimebase_in_constructor": _IDENTITY,
        "EmailMessageTests.test_decoded_attachment_text_MIMEPart": _IDENTITY,
        "EmailMessageTests.test_message_is_python_email_message": _POLICY,
        "EmailMessageTests.test_message_policy_smtputf8": _POLICY,
        "GetConnectionTests.test_arbitrary_keyword": _OPTION,
        "LocmemBackendTests.test_adds_sent_using_attribute": _NOBODY,
        "SharedEmailBackendTests.test_fail_silently_arg_accepted": _SILENCE,
        "SharedEmailBackendTests.test_unknown_kwargs_ignored": _OPTION,
    },
}

# By the class in which Django defines the test. A series that is newer than the table begins with the last.
TESTS_LEFT_OUT: dict[str, str] = _BY_SERIES.get(django.VERSION[:2], _BY_SERIES[max(_BY_SERIES)])
