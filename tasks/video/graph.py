"""FFmpeg's own filters on decoded frames, one after the other in a chain."""

from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame


def chain(frame: VideoFrame, *filters: tuple[str, str]) -> Graph:
    """Make a chain of (name, options) for frames of this one's format and size.

    Of one thread: with several, some filters give other bits from run to run.
    """
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
    )
    steps = [graph.add(name, options) for name, options in filters]
    graph.link_nodes(source, *steps, graph.add("buffersink")).configure()
    return graph


def pulled(graph: Graph) -> list[VideoFrame]:
    """All that a chain gives at the moment."""
    given = []
    while True:
        try:
            given.append(graph.vpull())
        except (av.EOFError, av.BlockingIOError):
            return given


def filtered(frame: VideoFrame, *filters: tuple[str, str]) -> list[VideoFrame]:
    """All that a chain makes of one frame."""
    graph = chain(frame, *filters)
    graph.vpush(frame)
    graph.vpush(None)
    return pulled(graph)
