"""The demo's holiday film: twelve pictures, each shown for less than a second or a little more.

Each is a function of ``t``, seconds since its clip began, and ``p``, from 0 to 1 through its shot.
"""

from math import cos, pi, sin

from demo_brush import Picture, glitter, scatter


def title(t: float, p: float) -> Picture:
    picture = Picture("#0f3b4c", "#1f6f78")
    for i, colour in enumerate(("#f2b134", "#ed553b", "#f7e3b0")):
        picture.disc(colour, 320, 300 + 30 * i, 200 - 45 * i)
    picture.text("#ffffff", 320, 54, 56, "SUMMER")
    return picture


def beach(t: float, p: float) -> Picture:
    picture, boat = Picture("#33246b", "#c2476b", "#ff9d5c", "#ffd98a", "#ffd98a"), 90 + 60 * p
    picture.glow("#fff0b8", 250, 205, 130)
    picture.disc("#fff3cf", 250, 200, 34)
    picture.box("#5d3a74", 0, 215, 640, 360)
    glitter(picture, "#ffcf8fd0", 215, 250, 160, t)
    picture.shape("#20183f", [(boat, 210), (boat + 38, 210), (boat + 5, 130)])
    picture.shape(
        "#20183f", [(boat - 30, 215), (boat + 45, 215), (boat + 34, 227), (boat - 20, 227)]
    )
    picture.line("#160f2b", [(560, 360), (548, 250), (520, 150)], 13)
    for turn in range(9):
        angle = turn * 0.7 + 0.05 * sin(2 * t)
        tip = (520 + 110 * cos(angle), 160 + 60 * sin(angle))
        picture.shape(
            "#160f2b", [(520, 145), (520 + 60 * cos(angle - 0.3), 130 + 40 * sin(angle)), tip]
        )
    return picture


def peaks(t: float, p: float) -> Picture:
    picture = Picture("#2a62b8", "#a8cdf0", "#f2f7fb")
    for x, top, half in ((110, 90, 190), (330, 40, 230), (560, 105, 170)):
        picture.shape("#6f86a8", [(x - half, 300), (x, top), (x + half, 300)])
        picture.shape(
            "#fbfdff",
            [(x - half * 0.6, top + 0.6 * (300 - top)), (x, top), (x + 20, top + 90), (x, 250)],
        )
    picture.hills("#e8f0f8", 275, 14, 5)
    for a, b, c in scatter(6, 26, 640, 60):
        picture.fir("#1e4a4a", a, 300 + b, 50 + 40 * c)
    for a, b, c in scatter(7, 120, 640, 360):
        picture.disc("#ffffff", a, (b + 90 * t) % 360, 1 + 1.5 * c)
    return picture


def balloons(t: float, p: float) -> Picture:
    picture = Picture("#7ec8e8", "#fde3c8", "#fbc9a2")
    picture.hills("#b98fa8", 290, 20, 9)
    picture.hills("#8a6a92", 325, 15, 2)
    colours = ("#e4453a", "#f6b732", "#2f7fc1", "#4ea653", "#9a4fb0")
    for i, (a, b, c) in enumerate(scatter(31, 9, 600, 220)):
        colour, x, y, r = colours[i % 5], a + 20, b + 50 - 30 * p, 22 + 34 * c
        picture.shape(
            "#6b4a2f",
            [
                (x - r / 5, y + r * 1.5),
                (x + r / 5, y + r * 1.5),
                (x + r * 0.7, y),
                (x - r * 0.7, y),
            ],
        )
        picture.disc(colour, x, y, r, r * 1.1)
        picture.disc("#fff3dc", x, y, r * 0.6, r * 1.1)
        picture.disc(colour, x, y, r * 0.25, r * 1.1)
    return picture


def sunflowers(t: float, p: float) -> Picture:
    picture = Picture("#2f8be0", "#bfe3fa", "#4f7f2c", "#2f5a20")
    for a, b, _ in sorted(scatter(14, 46, 1.1, 1), key=lambda place: place[1]):
        r, x, y = 7 + 34 * b * b, 620 * a - 20 + 3 * sin(3 * t + 9 * a), 175 + 150 * b
        picture.line("#3c6b25", [(x, y), (x, y + 3 * r)], r / 6)
        for turn in range(12):
            angle = turn * pi / 6
            picture.disc("#ffc91f", x + r * 0.7 * cos(angle), y + r * 0.7 * sin(angle), r * 0.32)
        picture.disc("#5b3413", x, y, r * 0.55)
    return picture


def desert(t: float, p: float) -> Picture:
    picture = Picture("#f08a3c", "#f8c46c", "#fbe3a4")
    picture.disc("#fffbe6", 480, 80, 36)
    for x, top, half in ((190.0, 90, 170), (400.0, 150, 110)):
        picture.shape("#d99a4e", [(x - half, 270), (x, top), (x + half, 270)])
        picture.shape("#a8672f", [(x + half * 0.2, 270), (x, top), (x + half, 270)])
    picture.hills("#d88c3f", 262, 12, 8)
    picture.hills("#b9692c", 315, 16, 4)
    for i in range(4):
        x, y = 150 + 70 * i + 40 * p, 262 + 3 * sin(8 * t + i)
        picture.disc("#4a2a18", x, y, 18, 9)
        picture.disc("#4a2a18", x, y - 9, 7)
        picture.line("#4a2a18", [(x + 15, y), (x + 25, y - 16), (x + 33, y - 15)], 5)
        picture.line("#4a2a18", [(x - 11, y), (x - 12, y + 28)], 3)
        picture.line("#4a2a18", [(x + 11, y), (x + 12, y + 28)], 3)
    return picture


def lighthouse(t: float, p: float) -> Picture:
    picture, turn = Picture("#1d2733", "#46586a", "#7d8d98"), 40 * sin(2 * t)
    for side in (-1, 1):
        picture.shape(
            "#fff3b060", [(440, 95), (440 + side * 460, 40 + turn), (440 + side * 460, 130 + turn)]
        )
    for i in range(5):
        y, half = 115 + 30 * i, 22 + 3 * i
        band = [(440 - half, y), (440 + half, y), (443 + half, y + 30), (437 - half, y + 30)]
        picture.shape("#f4f1ea" if i % 2 else "#c4302b", band)
    picture.box("#20242a", 424, 82, 456, 115)
    picture.disc("#fff6c0", 440, 97, 10)
    picture.shape("#2b2a2c", [(330, 310), (400, 258), (490, 255), (570, 310)])
    for i, colour in enumerate(("#3f6070", "#2f4c5c", "#1f3544")):
        picture.hills(colour, 285 + 26 * i, 9, 20 + i, (1 + i) * 70 * t)
    for a, b, c in scatter(50, 130, 700, 380):
        top = (b + 700 * t) % 380 - 20
        picture.line("#d8e6f080", [(a, top), (a - 5, top + 14 + 12 * c)])
    return picture


def aurora(t: float, p: float) -> Picture:
    picture = Picture("#050b24", "#0b2440", "#14506a")
    for x, y, c in scatter(12, 120, 640, 220):
        picture.disc("#ffffff", x, y, 0.5 + c)
    for x in range(0, 640, 5):
        top = 60 + 45 * sin(x / 90 + t) + 18 * sin(x / 31 + 2)
        picture.line("#45f0a038", [(x, top), (x + 12, top + 130)], 9)
        picture.line("#b06af030", [(x, top - 40), (x + 4, top + 10)], 8)
    picture.hills("#b8d4e6", 300, 8, 6)
    for x, y, c in scatter(15, 14, 640, 30):
        picture.fir("#06222a", x, 310 + y, 60 + 60 * c)
    return picture


def blossom(t: float, p: float) -> Picture:
    picture = Picture("#a8dcf0", "#e4f4f4", "#f6e6ea")
    for points in (
        [(660, 30), (430, 130), (200, 120), (40, 190)],
        [(430, 130), (300, 230), (180, 270)],
        [(520, 90), (470, 260)],
    ):
        picture.line("#4a2d2a", points, 11)
    for a, b, c in scatter(19, 100, 560, 170):
        x, y = a + 60, 40 + b * 0.5 + abs(a - 280) * 0.1 + 70 * (c > 0.6)
        for turn in range(5):
            picture.disc(
                "#f7a8c4" if c < 0.5 else "#fbd0de",
                x + 9 * cos(turn * 1.26),
                y + 9 * sin(turn * 1.26),
                8,
            )
        picture.disc("#c8386a", x, y, 4)
    for x, y, c in scatter(21, 40, 640, 360):
        picture.disc("#f49ab8", (x + 60 * t) % 640, (y + 90 * t) % 360, 3 + 2 * c, 2)
    return picture


def viaduct(t: float, p: float) -> Picture:
    picture = Picture("#86bdea", "#dcecf4", "#dfe8cc")
    picture.hills("#87a870", 150, 22, 13)
    picture.hills("#5d8a4a", 230, 26, 17)
    picture.box("#b09a80", 0, 170, 640, 300)
    for arch in range(12, 700, 84):
        picture.disc("#4f7f41", arch, 232, 32, 40)
        picture.box("#4f7f41", arch - 32, 232, arch + 32, 330)
    picture.box("#8f7a62", 0, 166, 640, 174)
    for i in range(5):
        x = -560 + 900 * p + 118 * i
        picture.box("#2d3a8c" if i < 4 else "#a8232b", x, 120, x + 112, 166)
        for dx in range(10, 100, 22):
            picture.box("#ffe9ae", x + dx, 130, x + dx + 14, 146)
    picture.hills("#3f6b35", 325, 14, 23)
    return picture


def fireworks(t: float, p: float) -> Picture:
    picture = Picture("#05051a", "#150f35", "#2c1a4a")
    for k, (x, y, colour) in enumerate(
        ((170, 110, "#ff5a6e"), (340, 80, "#ffd75a"), (500, 130, "#6ad0ff"))
    ):
        age = 0.25 + (0.75 * p + k / 3) % 0.75
        picture.glow(colour, x, y, 110)
        for ray in range(26):
            dx, dy = cos(ray * pi / 13), sin(ray * pi / 13)
            ends = [
                (x + r * age * dx, y + r * age * dy + 12 * age) for r in (60 + 20 * (ray % 2), 120)
            ]
            picture.line(colour, ends, 2)
            picture.disc("#ffffff", *ends[1], 2)
    for a, b, c in scatter(25, 34, 640, 70):
        picture.box("#0a0820", a - 18, 262 - b, a + 18 + 14 * c, 312)
    picture.box("#1a1440", 0, 312, 640, 360)
    glitter(picture, "#e8a0d8a0", 312, 330, 300, t)
    return picture


def campfire(t: float, p: float) -> Picture:
    picture = Picture("#0c1030", "#2a1f4a", "#4a2f3f", "#2a1a18")
    for x, y, c in scatter(27, 80, 640, 150):
        picture.disc("#fff6d8", x, y, 0.5 + c)
    for x in range(-10, 660, 58):
        picture.fir("#0b1520", x, 285, 170 + 40 * sin(x))
    picture.glow("#ff8a2a", 250, 290, 190)
    picture.shape("#d9a23f", [(380, 305), (470, 165), (570, 305)])
    picture.shape("#6b3a1a", [(440, 305), (470, 165), (492, 305)])
    for i, colour in enumerate(("#ff5a1f", "#ff9d2a", "#fff0a8")):
        width, top = 46 - 14 * i, 190 + 32 * i + 10 * sin(13 * t + i)
        picture.shape(
            colour,
            [(250 - width, 305), (250 + 9 * sin(9 * t), top), (250 + width, 305), (250, 320)],
        )
    return picture
