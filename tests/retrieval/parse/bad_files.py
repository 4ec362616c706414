"""Files that must be refused where they arrive: name -> (content, status, code)."""

from tests.retrieval.parse import make_files as make
from tests.retrieval.parse import ole


def _with_encrypted_entry() -> bytes:
    data = bytearray(make.make_xlsx({"Sheet": [["a", "b"]]}))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _xls_with_password() -> bytes:
    plain = make.make_xls([["a", "b"]] * 200)  # large enough for sectors of its own
    # The record after the first one (the character set) becomes the one that names the encryption.
    return plain.replace(b"\x42\0\x02\0\xb0\x04", b"\x2f\0\x02\0\x01\0")


def _ods_with_password() -> bytes:
    manifest = b"<manifest:manifest><manifest:encryption-data/></manifest:manifest>"
    return make.replace_in_zip(make.make_ods([["a"]]), {"META-INF/manifest.xml": manifest})


BAD_FILES = {
    "password.pdf": (make.make_encrypted_pdf(), 422, "encrypted_file"),
    "password.docx": (make.make_encrypted_office(), 422, "encrypted_file"),
    "password.xls": (_xls_with_password(), 422, "encrypted_file"),
    "password.xlsx": (_with_encrypted_entry(), 422, "encrypted_file"),
    "password.ods": (_ods_with_password(), 422, "encrypted_file"),
    "password.hwp": (make.make_hwp("본문", flags=3), 422, "encrypted_file"),
    "distributed.hwp": (make.make_hwp("본문", flags=5), 422, "encrypted_file"),
    "password.hwpx": (make.make_hwpx("본문", encrypted=True), 422, "encrypted_file"),
    "cut.pdf": (make.make_pdf("text")[:300], 422, "damaged_file"),
    "cut.docx": (make.make_docx("text")[:-200], 422, "damaged_file"),
    "cut.hwp": (make.make_hwp("본문")[:1024], 422, "damaged_file"),
    "bomb.docx": (make.make_zip_bomb_docx(), 422, "archive_bomb"),
    "slides.docx": (make.make_pptx(["# 제목"]), 415, "unsupported_type"),
    "word.hwp": (ole.container({"WordDocument": b"\0" * 64}), 415, "unsupported_type"),
}
