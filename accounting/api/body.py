"""A request's body, read and unpacked within limits: what a sender claims about its size is never believed."""

import zlib
from typing import IO, Any

import cramjam
from django.http import HttpRequest

from accounting.api.problem import Problem

GZIP = 16 + zlib.MAX_WBITS
PIECE = 1 << 16


def read_body(request: HttpRequest, *, most_bytes: int, most_decoded_bytes: int) -> bytes:
    """The decoded body; memory stays within the two limits, whatever comes.

    Raises:
        Problem: 400 cut short or damaged, 411 no length, 413 too large, 415 an encoding other than gzip.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip"):
        detail = f"Content-Encoding {encoding[:40]!r}: send gzip, or none"
        raise Problem(415, "unknown_encoding", detail, Accept_Encoding="gzip, identity")
    body = _read(request, most_bytes)
    if encoding == "gzip":
        return _gunzip(body, most_decoded_bytes)
    return body


def read_snappy(request: HttpRequest, *, most_bytes: int, most_decoded_bytes: int) -> bytes:
    """The body of Prometheus remote-write, a snappy block; memory stays within the two limits, whatever comes.

    Raises:
        Problem: 400 cut short or damaged, 411 no length, 413 too large, 415 an encoding other than snappy.
    """
    encoding = request.headers.get("Content-Encoding", "snappy").strip().lower()
    if encoding not in ("snappy", ""):
        detail = f"Content-Encoding {encoding[:40]!r}: send snappy (the block format)"
        raise Problem(415, "unknown_encoding", detail, Accept_Encoding="snappy")
    body = _read(request, most_bytes)
    try:
        announced = cramjam.snappy.decompress_raw_len(body) if body else 0
        if announced > most_decoded_bytes:
            raise _too_large(f"{announced} bytes after snappy", most_decoded_bytes)
        return bytes(cramjam.snappy.decompress_raw(body)) if body else b""
    except cramjam.DecompressionError as error:
        raise Problem(400, "bad_snappy", f"the body is no snappy block: {str(error)[:200]}") from error


def _read(request: HttpRequest, most_bytes: int) -> bytes:
    stream, length = _stream(request)
    if length is not None and length > most_bytes:
        raise _too_large(f"{length} bytes", most_bytes)
    pieces, size = [], 0
    try:
        while piece := stream.read(min(PIECE, most_bytes + 1 - size)):
            pieces.append(piece)
            size += len(piece)
            if size > most_bytes:
                raise _too_large(f"more than {most_bytes} bytes", most_bytes)
    except (OSError, EOFError) as error:
        raise Problem(400, "cut_short", f"the body broke off after {size} bytes: {error}") from error
    if length is not None and size != length:
        raise Problem(400, "cut_short", f"{size} bytes came, {length} were announced")
    return b"".join(pieces)


def _stream(request: HttpRequest) -> tuple[IO[bytes], int | None]:
    """What to read from, and how much was announced. Chunked bodies come straight from a server that ends them."""
    environ: dict[str, Any] = getattr(request, "environ", {})
    if "HTTP_TRANSFER_ENCODING" in environ:
        if not environ.get("wsgi.input_terminated"):
            raise Problem(411, "length_required", "this server takes no chunked bodies: send Content-Length")
        return environ["wsgi.input"], None
    written = environ.get("CONTENT_LENGTH") or "0"
    if not written.isdecimal():
        raise Problem(400, "bad_length", f"Content-Length {written[:40]!r} is not a number")
    return request, int(written)  # type: ignore[return-value]


def _gunzip(packed: bytes, most_decoded_bytes: int) -> bytes:
    """Unpack up to the limit; a member may follow another, as gzip allows."""
    unpacked = b""
    try:
        while packed:
            member = zlib.decompressobj(GZIP)
            unpacked += member.decompress(packed, most_decoded_bytes + 1 - len(unpacked))
            if len(unpacked) > most_decoded_bytes:
                raise _too_large("more after gunzip", most_decoded_bytes)
            if not member.eof:
                raise Problem(400, "bad_gzip", "the gzip body ends too early")
            packed = member.unused_data
    except zlib.error as error:
        raise Problem(400, "bad_gzip", f"the body is not gzip: {error}") from error
    return unpacked


def _too_large(what: str, most: int) -> Problem:
    return Problem(413, "too_large", f"{what}, {most} at most: split the batch")
