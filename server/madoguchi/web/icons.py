"""The pictures of the young person's page on a home screen, made of one square picture."""

from io import BytesIO

from PIL import Image, ImageDraw

GREY, WHITE = "#8a9491", "#ffffff"
_DRAWN = 512
# Of a mask's picture only the circle over four fifths of its width is sure to be seen; a square fits into it so.
_IN_A_CIRCLE = 0.56
_IN_A_SQUARE = 0.8


def draw(chosen: str, paper: str) -> list[bytes]:
    """Every icon of `installable.ICONS`, in its order, as PNG. chosen: path of a square picture; "" is the neutral one,
    a sheet of paper with three lines, as `favicon.svg` of the web client. paper: the ground where the picture has none.
    """
    picture = _opened(chosen) if chosen else _sheet(_DRAWN, GREY, WHITE)
    made = [
        picture.resize((192, 192), Image.Resampling.LANCZOS),
        picture.resize((512, 512), Image.Resampling.LANCZOS),
        _framed(picture, 512, _IN_A_CIRCLE, paper),
        # For iPhones, which put black where a picture has nothing.
        _framed(picture, 180, _IN_A_SQUARE, paper),
        # In a phone's status bar only the outline is shown, so it is always the neutral one.
        _sheet(96, WHITE, None),
    ]
    return [_png(icon) for icon in made]


def _opened(chosen: str) -> Image.Image:
    with Image.open(chosen) as picture:
        return picture.convert("RGBA")


def _sheet(size: int, paper: str, lines: str | None) -> Image.Image:
    """Drawn larger and made smaller, which rounds the edges. lines: None cuts them out."""
    big = 4 * size
    unit = big / 32
    picture = Image.new("RGBA", (big, big))
    pen = ImageDraw.Draw(picture)
    pen.rounded_rectangle((5 * unit, 3 * unit, 27 * unit, 29 * unit), 3 * unit, fill=paper)
    for middle, right in ((10, 22), (16, 22), (22, 18)):
        box = (9 * unit, (middle - 1.2) * unit, (right + 1) * unit, (middle + 1.2) * unit)
        pen.rounded_rectangle(box, 1.2 * unit, fill=lines or (0, 0, 0, 0))
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def _framed(picture: Image.Image, size: int, part: float, paper: str) -> Image.Image:
    """The picture in the middle of a ground without gaps: its own colour where it fills its corners, else paper."""
    corner = picture.getpixel((0, 0))
    assert isinstance(corner, tuple)
    ground = Image.new("RGB", (size, size), corner[:3] if corner[3] == 255 else paper)
    inner = round(size * part)
    at = (size - inner) // 2
    small = picture.resize((inner, inner), Image.Resampling.LANCZOS)
    ground.paste(small, (at, at), small)
    return ground


def _png(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()
