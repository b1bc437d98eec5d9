"""The places where the demo's cameras stay for long, and what passes there.

Each picture is a function of ``t``, seconds since its clip began, and ``p``, from 0 to 1 through
its shot.
"""

from collections.abc import Iterator
from functools import cache
from math import cos, pi, sin

from demo_brush import HEIGHT, WIDTH, Picture, glitter, scatter


@cache
def _street() -> Picture:
    """What the doorstep camera sees all day."""
    picture = Picture("#8fb4d9", "#c9dbe8", "#e8e6df", "#e8e6df")
    picture.hills("#8fa88a", 165, 9, 3)
    picture.box("#6f9457", 0, 185, 640, 250)
    for x, wall, roof in (
        (60, "#c9855f", "#6b3a32"),
        (270, "#e6d9b8", "#51606e"),
        (500, "#a9b7a4", "#7a4a3a"),
    ):
        picture.box(wall, x, 110, x + 120, 215)
        picture.shape(roof, [(x - 14, 112), (x + 60, 58), (x + 134, 112)])
        picture.box("#7b3b30", x + 86, 55, x + 102, 92)
        picture.box("#5a3a28", x + 50, 165, x + 72, 215)
        for dx in (14, 86):
            picture.box("#f4f0e4", x + dx - 2, 130, x + dx + 24, 160)
            picture.box("#6f93ab", x + dx, 132, x + dx + 22, 158)
    for x in (30, 225, 440):
        picture.tree("#4d7a3c", x, 225, 110)
    picture.box("#b9b4aa", 0, 225, 640, 250)
    picture.box("#5b5d63", 0, 250, 640, 332)
    for x in range(-20, 640, 90):
        picture.box("#e5e0cf", x, 289, x + 50, 293)
    picture.box("#a39e93", 0, 332, 640, 360)
    return picture


def quiet_street(t: float, p: float) -> Picture:
    picture = _street().copy()
    for puff in range(5):
        age = (t / 3 + puff / 5) % 1
        picture.disc("#ffffff70", 364 + 60 * age, 50 - 45 * age, 4 + 9 * age)
    cloud = 1 - abs(t - 7.3) / 1.7  # its shadow passes
    if cloud > 0:
        picture.box(f"#0c1830{round(140 * cloud):02x}", 0, 0, WIDTH, HEIGHT)
    return picture


def frozen_street(t: float, p: float) -> Picture:
    return quiet_street(0, 0)


def passing_bus(t: float, p: float) -> Picture:
    picture, x = quiet_street(t, p), -180 + 560 * p
    picture.disc("#2a2c3080", x + 210, 332, 225, 12)
    picture.box("#c4202a", x, 52, x + 420, 316)
    picture.box("#f3e9d2", x, 172, x + 420, 190)
    for pane in range(7):
        for top in (78, 204):
            picture.box("#24384a", x + 14 + 57 * pane, top, x + 62 + 57 * pane, top + 62)
    picture.text("#f3e9d2", x + 210, 155, 18, "SEASIDE EXPRESS")
    for wheel in (x + 85, x + 325):
        picture.disc("#1c1d20", wheel, 312, 32)
        picture.disc("#b9bcc2", wheel, 312, 15)
    return picture


def umbrella(t: float, p: float) -> Picture:
    """Somebody walks by, close to the camera."""
    picture, x, stride = quiet_street(t, p), 560 - 480 * p, 40 * sin(22 * p)
    for sign in (-1, 1):
        picture.line("#1f2430", [(x, 270), (x + sign * stride, 366)], 34)
    picture.shape("#2f5d8c", [(x - 62, 310), (x - 42, 140), (x + 42, 140), (x + 62, 310)])
    picture.disc("#d9a588", x, 108, 33, 38)
    picture.line("#2b2b2b", [(x - 30, 220), (x - 52, 180), (x - 52, 40)], 6)
    rim = [(x - 52 + 190 * cos(a / 16 * pi), 90 - 86 * sin(a / 16 * pi)) for a in range(17)]
    picture.shape("#c8233b", rim)
    return picture


def _road(picture: Picture, t: float, ground: str, asphalt: str) -> None:
    """Ground, road and moving lane marks below a horizon at 170."""
    picture.box(ground, 0, 170, WIDTH, HEIGHT)
    picture.shape(asphalt, [(312, 170), (328, 170), (720, 360), (-80, 360)])
    for mark in range(1, 14):
        near, far = (190 / (mark * 0.6 + d - (5 * t) % 0.6) for d in (0.25, 0.5))
        left = [(320 - y / 30, 170 + y) for y in (near, far)]
        picture.shape("#f4f1e6", left + [(640 - x, y) for x, y in reversed(left)])


def _roadside(t: float, spacing: float, near: float = 0.5) -> Iterator[tuple[float, float, float]]:
    """(x of a thing beside the road, y of its foot, scale), from far to near, on both sides."""
    for step in range(int(9 / spacing), -1, -1):
        depth = near + step * spacing + spacing - (5 * t) % spacing
        for side in (-1, 1):
            yield 320 + side * 260 / depth, 170 + 150 / depth, 1 / depth


def _bonnet(picture: Picture) -> Picture:
    picture.disc("#20262e", 320, 384, 300, 52)
    picture.disc("#39434f", 320, 392, 250, 50)
    return picture


def farmland(t: float, p: float) -> Picture:
    picture = Picture("#3f8fe0", "#a9d5f5", "#e9f3e4", "#e9f3e4")
    for a, b, c in scatter(5, 5, 640, 80):
        picture.disc("#ffffffb0", (a + 8 * t) % 760 - 60, 25 + b, 40 + 40 * c, 8 + 6 * c)
    picture.hills("#7fae8e", 160, 12, 1, 6 * t)
    _road(picture, t, "#a7bf4e", "#6c6e72")
    picture.shape("#e3c94a", [(0, 178), (250, 178), (0, 300)])
    for x, y, scale in _roadside(t, 1.7, 0.8):
        picture.tree("#3f7d35", x, y, 190 * scale)
    return _bonnet(picture)


def forest(t: float, p: float) -> Picture:
    picture = Picture("#cfdcc8", "#a5bda0", "#5f7f5d", "#5f7f5d")
    _road(picture, t, "#37502f", "#4d4f50")
    for x, y, scale in _roadside(t, 0.45):
        picture.fir(
            "#1d3d29" if x < 320 else "#25492f", x + 30 * scale * (x - 320) / 260, y, 300 * scale
        )
    return _bonnet(picture)


def tunnel(t: float, p: float) -> Picture:
    picture = Picture("#17130f", "#17130f")
    for step in range(11):
        depth = 0.55 + 0.5 * step + 0.5 - (5 * t) % 0.5
        shade = int(min(70, 12 + 60 / depth))
        radius = 250 / depth
        picture.disc(f"rgb({shade + 30},{shade + 12},{shade // 2})", 320, 180, radius, radius * 0.8)
        picture.disc("#17130f", 320, 180, radius * 0.93, radius * 0.75)
        for side in (-1, 1):
            picture.disc(
                "#ffd27a", 320 + side * radius * 0.6, 180 - radius * 0.5, 14 / depth, 6 / depth
            )
    picture.shape("#2b2723", [(312, 186), (328, 186), (720, 360), (-80, 360)])
    picture.glow("#fff6dc", 320, 180, 20 + int(60 * p))
    return _bonnet(picture)


def coast_road(t: float, p: float) -> Picture:
    picture = Picture("#5b3f8f", "#e8738a", "#ffcf8a", "#ffcf8a")
    picture.glow("#fff2c0", 150, 150, 110)
    picture.disc("#fff6d8", 150, 148, 24)
    _road(picture, t, "#8a6a55", "#57505a")
    picture.shape("#4a4f86", [(0, 170), (306, 170), (0, 292)])
    for a, b, c in scatter(8, 40, 1, 1):
        y = 172 + 80 * b
        x = (160 + 200 * (a - 0.5)) * (1 - b * 0.6)
        picture.line("#ffd9a0a0", [(x, y), (x + 10 + 24 * c, y)], 1.5)
    picture.shape(
        "#6a3f4a", [(334, 170), (420, 120 + 4 * sin(3 * t)), (520, 60), (640, 10), (640, 322)]
    )
    for x, y, scale in _roadside(t, 0.8, 0.6):
        picture.box("#f3ece0", x - 4 * scale, y - 45 * scale, x + 4 * scale, y)
    return _bonnet(picture)


@cache
def _towers(sky: tuple[str, ...], near: str, far: str, water: str, lit: float) -> Picture:
    """One hour of the skyline; ``lit`` is the share of windows with a light."""
    picture = Picture(*sky)
    if lit < 0.5:
        picture.glow("#fff4c8", 470, 60 if lit == 0 else 190, 90)
        picture.disc("#fffbe8", 470, 60 if lit == 0 else 190, 26)
    for x, y, _ in scatter(61, 26, 640, 60):
        picture.box(far, x - 17, 190 - y, x + 17, 262)
    for i, (_, y, c) in enumerate(scatter(62, 15, 640, 110)):
        x, top = 44 * i - 8, 185 - y
        picture.box(near, x, top, x + 34 + 8 * c, 262)
        for k, (a, b, glows) in enumerate(scatter(70 + i, 42, 5, 12)):
            wx, wy = x + 4 + 6 * int(a), top + 6 + 9 * int(b)
            if wy < 254:
                picture.box(
                    ("#ffe08a", "#ffc46a")[k % 2] if glows < lit else "#00000030",
                    wx,
                    wy,
                    wx + 3,
                    wy + 5,
                )
    picture.box(water, 0, 262, 640, 360)
    return picture


def skyline(t: float, p: float) -> Picture:
    """Three hours, blended: day, sunset from 4 s, night from 6 s."""
    day = _towers(("#3d8fdc", "#a4d3f2", "#e8f3f6"), "#6f8497", "#a3b7c6", "#5f9cc0", 0)
    dusk = _towers(("#45307a", "#e0607a", "#ffb45e"), "#3d3152", "#8a5a7a", "#8a4f70", 0.25)
    night = _towers(("#04061a", "#0c1434", "#1c2450"), "#11142a", "#1a1f3d", "#0b1030", 0.7)
    picture = day.blend(dusk, min(max((t - 3) / 1.5, 0), 1)).blend(
        night, min(max((t - 5.2) / 1.3, 0), 1)
    )
    glitter(picture, "#fff0c050", 262, 400, 380, t)
    x = 660 - 75 * t
    picture.shape("#f4efe6", [(x, 300), (x + 130, 300), (x + 115, 318), (x + 14, 318)])
    picture.box("#c8503f", x + 30, 284, x + 96, 300)
    return picture


PORTRAIT = (HEIGHT, WIDTH)


@cache
def _station() -> Picture:
    """What a phone held upright sees at a country station."""
    picture = Picture("#7fb2dc", "#dcebf2", "#e9e4d4", size=PORTRAIT)
    picture.shape("#7d9a68", [(0, 330), (120, 290), (360, 320), (360, 420), (0, 420)])
    picture.shape("#7a736c", [(0, 640), (0, 430), (150, 380), (190, 380), (170, 640)])
    for sleeper in range(9):
        y = 385 + 3.2 * sleeper**2
        picture.line("#5a4636", [(140 - 18 * sleeper, y), (186 - 4 * sleeper, y)], 2 + sleeper)
    picture.shape("#c9c3b8", [(170, 640), (196, 380), (360, 380), (360, 640)])
    picture.shape("#f0c430", [(178, 640), (198, 380), (204, 380), (206, 640)])
    picture.shape("#4d5a66", [(360, 0), (360, 140), (200, 250), (190, 236), (300, 0)])
    for x, top in ((330, 150), (262, 205)):
        picture.box("#3d4852", x, top, x + 9, 600 - 2 * (330 - x))
    picture.disc("#fbfaf4", 285, 170, 24)
    return picture


def platform(t: float, p: float) -> Picture:
    picture = _station().copy()
    picture.line("#222222", [(285, 170), (285 + 16 * sin(t / 3), 170 - 16 * cos(t / 3))], 3)
    return picture


def express(t: float, p: float) -> Picture:
    picture, push = platform(t, p), 700 * p
    picture.shape("#b3202c", [(-10, 640), (-10, 130), (165, 320), (172, 392), (160, 640)])
    picture.shape("#f2ede2", [(-10, 430), (-10, 460), (172, 384), (172, 376)])
    for k in range(6):
        x = (40 * k + push) % 210 - 30
        grow = (190 - x) / 190
        picture.shape(
            "#1d2a3a", [(x, 345 - 110 * grow), (x + 24, 345 - 92 * grow), (x + 24, 362), (x, 366)]
        )
    return picture


def reef(t: float, p: float) -> Picture:
    picture = Picture("#3fd0d8", "#1283ae", "#0a3f72", "#08284f")
    for ray in range(5):
        x = 60 + 130 * ray + 18 * sin(t + ray)
        picture.shape("#ffffff14", [(x, 0), (x + 36, 0), (x - 60, 360), (x - 160, 360)])
    picture.hills("#0d3350", 318, 12, 33)
    for (x, y, c), colour in zip(
        scatter(35, 18, 640, 30), ("#f0567a", "#f79a3c", "#a85ad0") * 6, strict=True
    ):
        for stem in range(5):
            lean = (stem - 2) * 0.3 + 0.1 * sin(1.5 * t + x)
            tip = (x + 60 * sin(lean) * (0.6 + c), 335 + y - 60 * cos(lean) * (0.6 + c))
            picture.line(colour, [(x, 350 + y), tip], 7)
            picture.disc(colour, *tip, 5)
    for i, (a, b, c) in enumerate(scatter(37, 22, 760, 230)):
        size = (8 + 14 * c) * (1 if i % 3 else -1)  # negative: swims to the left
        x, y = (a + t * size * (3 + c)) % 760 - 60, b + 40 + 6 * sin(2 * t + a)
        colour, tail = ("#ffd23f", "#ff7f50", "#e8f4ff", "#6af0c0")[i % 4], x - 1.8 * size
        picture.shape(colour, [(x - 0.8 * size, y), (tail, y - 0.7 * size), (tail, y + 0.7 * size)])
        picture.disc(colour, x, y, abs(size) * 1.2, abs(size) * 0.65)
        picture.disc("#10202c", x + 0.7 * size, y - abs(size) * 0.12, abs(size) * 0.14)
    return picture


def shark(t: float, p: float) -> Picture:
    picture, x, beat = reef(t, p), -110 + 790 * p, 24 * sin(16 * p)
    body = "#4a6276"
    picture.shape(
        body, [(x - 150, 170), (x - 235, 105 + beat), (x - 205, 172), (x - 230, 235 + beat)]
    )
    picture.shape(body, [(x - 20, 125), (x + 10, 50), (x + 45, 125)])
    picture.shape(body, [(x + 20, 195), (x - 35, 285), (x + 70, 200)])
    picture.disc(body, x, 165, 190, 52)
    picture.disc("#c9d6dc", x + 20, 190, 140, 24)
    picture.disc("#0a1018", x + 135, 150, 6)
    return picture


def surface(t: float, p: float) -> Picture:
    """The camera breaks through: half sky with a boat, half water."""
    picture = Picture("#6fc0f0", "#eaf6fb", "#2aa8b8", "#0d5f86")
    wave = [(x, 190 + 14 * sin(x / 70 + 5 * t) + 30 * (0.5 - p)) for x in range(-10, 660, 10)]
    picture.shape("#f5f2ea", [(360, 150), (590, 150), (550, 215), (400, 215)])
    picture.line("#8a5a3a", [(470, 150), (470, 20)], 6)
    picture.shape("#e4572e", [(478, 25), (590, 140), (478, 140)])
    picture.shape("#16889fe0", [(-10, 360), *wave, (650, 360)])
    picture.line("#ffffffb0", wave, 4)
    return picture
