"""A contact sheet: many small pictures as one."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

CAPTION_PX, GAP_PX = 18, 6
PAPER, INK, EMPTY = "white", "#333333", "#dddddd"


def contact_sheet(
    pictures: Sequence[Image.Image | None],
    captions: Sequence[str],
    columns: int,
    side_px: int,
    heading: str = "",
) -> Image.Image:
    """Put pictures side by side, row by row, with captions below them.

    Args:
        pictures: at most ``side_px`` wide and high; None leaves its place empty.
        captions: one a picture.
        columns: pictures a row, at least 1.
        side_px: width of each place; all are as high as the highest picture.
        heading: a line above all, cut where the sheet ends; empty for none.
    """
    columns = max(1, min(columns, len(pictures)))
    rows = max(1, -(-len(pictures) // columns))
    tall_px = max((picture.height for picture in pictures if picture), default=side_px)
    across, down = side_px + GAP_PX, tall_px + CAPTION_PX + GAP_PX
    above = GAP_PX + CAPTION_PX * bool(heading)
    sheet = Image.new("RGB", (columns * across + GAP_PX, above + rows * down), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    draw.text((GAP_PX, 2), heading, fill=INK, font=font)
    for place, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = GAP_PX + place % columns * across
        top = above + place // columns * down
        if picture is None:
            draw.rectangle([left, top, left + side_px - 1, top + tall_px - 1], fill=EMPTY)
        else:
            inside = ((side_px - picture.width) // 2, (tall_px - picture.height) // 2)
            sheet.paste(picture, (left + inside[0], top + inside[1]))
        draw.text((left, top + tall_px + 2), caption, fill=INK, font=font)
    return sheet
