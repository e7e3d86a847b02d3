"""One thumbnail, made in a process of its own: `python -m madoguchi.thumbnailer WIDTH HEIGHT METHOD MOST_PIXELS`.

The picture comes on standard input, the thumbnail leaves on standard output after a line with its content type.
Pictures come from strangers, so this process has little memory and time, writes no file, and ends after one picture.
Exit status 3: no picture that a thumbnail is made of.
"""

import io
import resource
import sys
import warnings

MEMORY_BYTES = 512 * 1024 * 1024
CPU_SECONDS = 10
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")


def main(width: int, height: int, method: str, most_pixels: int) -> int:
    from PIL import Image, ImageOps

    warnings.simplefilter("error")
    Image.MAX_IMAGE_PIXELS = most_pixels
    try:
        picture = Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=FORMATS)
        if picture.width * picture.height > most_pixels:
            return 3
        # Decodes at a fraction of the size where the format can (JPEG).
        picture.draft("RGB", (width * 2, height * 2))
        made: Image.Image = ImageOps.exif_transpose(picture)
        # Only the pixels go on: no place, no camera, no time.
        has_holes = made.mode in ("RGBA", "LA", "PA") or "transparency" in made.info
        made = made.convert("RGBA" if has_holes else "RGB")
        if method == "crop":
            scale = min(1.0, made.width / width, made.height / height)
            made = ImageOps.fit(made, (max(1, round(width * scale)), max(1, round(height * scale))))
        else:
            made.thumbnail((width, height))
        kind = "PNG" if has_holes else "JPEG"
        made.info.clear()
        into = io.BytesIO()
        made.save(into, kind, **({} if has_holes else {"quality": 85}))
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError, Warning):
        return 3
    sys.stdout.buffer.write(f"image/{kind.lower()}\n".encode() + into.getvalue())
    return 0


def little_of_everything() -> None:
    """Limits this process before it looks at anything."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    little_of_everything()
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
