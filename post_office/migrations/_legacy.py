"""The migrations of django-post_office 3.x, which ours replace: all of them or none."""

LEGACY_MIGRATIONS = (
    "0001_initial",
    "0002_add_i18n_and_backend_alias",
    "0003_longer_subject",
    "0004_auto_20160607_0901",
    "0005_auto_20170515_0013",
    "0006_attachment_mimetype",
    "0007_auto_20170731_1342",
    "0008_attachment_headers",
    "0009_requeued_mode",
    "0010_message_id",
    "0011_models_help_text",
    "0012_alter_attachment_file_storage",
    "0013_email_recipient_delivery_status_alter_log_status",
    "0014_alter_email_recipient_delivery_status_and_more",
)
