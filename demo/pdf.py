"""The smallest PDF that is one (ISO 32000-1): a page with lines of text, in a font that each reader has."""

from collections.abc import Sequence


def page(lines: Sequence[str]) -> bytes:
    """Return a PDF of one A5 page with these lines; the same bytes for the same lines."""
    shown = b"".join(b"(%s) Tj T*\n" % _escaped(line) for line in lines)
    text = b"BT /F1 14 Tf 22 TL 50 530 Td\n%sET" % shown
    return _document(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 595] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>",
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        ]
    )


def _document(objects: Sequence[bytes]) -> bytes:
    # The comment of high bytes tells programs that transfer files that this one is binary.
    content = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for number, body in enumerate(objects, start=1):
        table += b"%010d 00000 n \n" % len(content)
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return content + table + trailer % (len(objects) + 1, len(content))


def _escaped(line: str) -> bytes:
    for special in "\\()":
        line = line.replace(special, f"\\{special}")
    return line.encode("cp1252", "replace")
