"""From a row to a message: templates, inline images, attachments, MIME. Knows no queue.

`templates` decides which template text serves and renders it, `inline` collects the images of a
render, `attachments` reads and keeps files, `message` puts it all into Django's EmailMessage.
"""
