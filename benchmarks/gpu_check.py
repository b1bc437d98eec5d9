"""Does a GPU give what the CPU gives, and how fast is it? For a machine with one NVIDIA GPU.

    pip install -e '.[run,hf]'
    python benchmarks/gpu_check.py [--json FILE] [--only SECTION ...] [--device cpu --scale 0.01]

Everything is made here: no data, no network. It takes under 8 minutes on the machines that it is
meant for, and ends with status 1 when anything differs from what the CPU gives or cannot be run.

- ceilings: matrix products (float32 without TF32, bfloat16) and copies in the GPU's memory.
- selection: the same picks, distances and curve on both, to the bit.
- descriptor: the same bits on both; frames a second from pictures in the CPU's memory.
- models: a ResNet-50 and a ViT-S/14 with random weights, as `hf:` runs them; frames a second, share
  of the bfloat16 ceiling, and how far their vectors are from the CPU's float32.
- simclr: frames a second in training, and the same checkpoint from the same seed.
- selection-naive: 10,000 of 1,000,000 x 512 from the CPU's memory, against the textbook's way in
  float32 on the same device; how many picks are the same (rounding decides between equal ones).
- selection-large: 20,000 of 2,000,000 x 512, on the device; shares of the ceilings.
- frames: small pictures, digests and measures of clips of every kind that GPUs decode, from there
  and from a CPU, to the bit; and why CPUs decode others.
- decode-rates: 1080p H.264 by the GPU's decoder and by CPU threads, the frames thrown away.
- ingest: the embed stage of `ingest` over such films without the GPU, decoded by the GPU, and by
  whoever is faster; the same store, to the byte.
- whole: `curate` on the demo's videos on both; the same selection, and the seconds of both.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import coreframe.tasks  # noqa: F401 - before cuBLAS is used, which it tells to be deterministic

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "data")]

from gpu_tools import Check, Differs, same  # noqa: E402 - found by the line before
from gpu_video import decode_rates, frames_equal, ingest  # noqa: E402

CPU = torch.device("cpu")


# --- sections ------------------------------------------------------------------------------


def ceilings(check: Check) -> dict[str, float]:
    side = check.many(8192, 256)
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        left, right = (torch.randn(side, side, device=check.device, dtype=dtype) for _ in "ab")
        seconds = check.seconds(partial(torch.matmul, left, right))
        found[f"{name}_flops_per_s"] = 2 * side**3 / seconds
    large = torch.randn(check.many(2**30, 2**20), device=check.device)
    other = torch.empty_like(large)
    found["copy_bytes_per_s"] = 2 * large.nbytes / check.seconds(lambda: other.copy_(large))
    check.ceilings.update(found)
    return found


def walks(rows: int, dim: int, device: torch.device, seed: int = 0) -> np.ndarray:
    """(rows, dim) int16 lattice: random walks around scenes of 150 rows, made on a device."""
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device, generator=generator)

    lattice = np.empty((rows, dim), np.int16)
    scene = 150
    for start in range(0, rows, 1000 * scene):
        count = min(1000 * scene, rows - start)
        scenes = -(-count // scene)
        paths = torch.cumsum(normal(scenes, scene, 6) * 0.03, 1)
        vectors = normal(scenes, 1, dim) + paths @ normal(scenes, 6, dim)
        vectors += 0.05 * normal(scenes, scene, dim)
        vectors = torch.nn.functional.normalize(vectors.reshape(-1, dim)[:count].double())
        lattice[start : start + count] = torch.round(vectors * 4000).short().cpu().numpy()
    return lattice


def pick(lattice: np.ndarray, picks: int, device: torch.device, parts: int = 1) -> Any:
    """Seconds of reading the vectors onto the device and of selecting, and what was picked."""
    from coreframe.tasks.kcenter.goal import Goal
    from coreframe.tasks.kcenter.greedy import greedy_k_center
    from coreframe.tasks.kcenter.local import LocalPartitions
    from coreframe.tasks.kcenter.partition import Partition
    from coreframe.tasks.kcenter.vectors import ArraySource, Vectors

    start = time.perf_counter()
    partitions = []
    for rows in np.array_split(np.arange(len(lattice)), parts):
        own = lattice[rows[0] : rows[-1] + 1]
        vectors = Vectors(ArraySource(own), [0, len(own)], lattice.shape[1], device)
        vectors.at(torch.zeros(1, dtype=torch.int64, device=device))
        partitions.append(Partition.without_centers(rows, vectors))
    loaded = time.perf_counter()
    chosen = greedy_k_center(LocalPartitions(partitions), Goal(picks))
    return loaded - start, time.perf_counter() - loaded, chosen


def selection(check: Check) -> dict[str, Any]:
    lattice = walks(check.many(50_000, 2000), 384, CPU)
    picks = check.many(2_000, 100)
    _, cpu_s, expected = pick(lattice, picks, CPU)
    for parts in (1, 3):
        _, device_s, found = pick(lattice, picks, check.device, parts)
        for name in ("rows", "distance", "radius", "lower_bound"):
            same(getattr(found, name), getattr(expected, name), name)
    return {"rows": len(lattice), "picks": picks, "same": True, "cpu_s": cpu_s, "s": device_s}


def selection_large(check: Check) -> dict[str, Any]:
    rows, dim, picks = check.many(2_000_000, 5000), 512, check.many(20_000, 200)
    lattice = walks(rows, dim, check.device)
    pick(lattice[: check.many(50_000, 1000)], 100, check.device)
    if check.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    load_s, seconds, chosen = pick(lattice, picks, check.device)
    exact, rough = (
        2 * dim * pairs for pairs in (chosen.distances_formed, chosen.rough_distances_formed)
    )
    read = chosen.passes * lattice.nbytes
    found = {
        "rows": rows,
        "dim": dim,
        "picks": len(chosen.rows),
        "passes": chosen.passes,
        "pairs_share": chosen.distances_formed / (rows * picks),
        "load_s": load_s,
        "s": seconds,
        "radius": float(chosen.radius[-1]),
        "share_of_float32": exact / seconds / check.ceilings["float32_flops_per_s"],
        "share_of_bfloat16": rough / seconds / check.ceilings["bfloat16_flops_per_s"],
        "share_of_copy": read / seconds / check.ceilings["copy_bytes_per_s"],
    }
    if check.device.type == "cuda":
        found["peak_bytes"] = torch.cuda.max_memory_allocated()
    return found


def naive(lattice: np.ndarray, picks: int, device: torch.device, first: int) -> tuple[float, Any]:
    """Seconds that greedy k-center takes as textbooks write it, on the device, and its picks.

    Every pick reads all vectors once, as float32 numbers; nothing is asked of the device between.
    """
    rows = torch.from_numpy(lattice).to(device).float()
    norms = rows.square().sum(dim=1)
    chosen = torch.empty(picks, dtype=torch.int64, device=device)
    chosen[0] = first
    distance = torch.full_like(norms, torch.inf)
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for number in range(picks):
        own = chosen[number : number + 1]
        nearer = (rows @ rows.index_select(0, own).T).squeeze(1).mul_(-2).add_(norms)
        distance = torch.minimum(distance, nearer.add_(norms.index_select(0, own)))
        if number + 1 < picks:
            chosen[number + 1] = distance.argmax()
    found = chosen.cpu().numpy()
    return time.perf_counter() - start, found


def selection_naive(check: Check) -> dict[str, Any]:
    """10,000 of 1,000,000 x 512, in turns with the textbook's way on the same device."""
    rows, dim, picks = check.many(1_000_000, 5000), 512, check.many(10_000, 200)
    lattice = walks(rows, dim, check.device, seed=1)
    pick(lattice[: check.many(50_000, 1000)], 100, check.device)
    own, textbook, chosen = [], [], None
    for _ in range(2):
        load_s, seconds, chosen = pick(lattice, picks, check.device)
        own.append(load_s + seconds)
        naive_s, found = naive(lattice, picks, check.device, int(chosen.rows[0]))
        textbook.append(naive_s)
    assert chosen is not None
    same_until = int(np.argmin(np.append(found == chosen.rows, False)))
    return {
        "rows": rows,
        "dim": dim,
        "picks": picks,
        "passes": chosen.passes,
        "pairs_share": chosen.distances_formed / (rows * picks),
        "with_loading_s": min(own),
        "naive_float32_s": min(textbook),
        "ratio": min(textbook) / min(own),
        "same_picks": same_until,
    }


def frames(count: int, side_px: int) -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return [np.kron(one, np.ones((side_px // 8, side_px // 8, 1), np.uint8)) for one in noise]


def descriptor(check: Check) -> dict[str, Any]:
    from coreframe.tasks.embedders.descriptor import DescriptorEmbedder
    from coreframe.tasks.embedders.embedder import embed_images

    embedder = DescriptorEmbedder()
    images = frames(256, embedder.framing.side_px)
    found = embed_images(embedder, images, check.device)
    same(found, embed_images(embedder, images, CPU), "the descriptor's vectors")
    seconds = check.seconds(lambda: embed_images(embedder, images, check.device))
    return {"same": True, "batch": len(images), "frames_per_s": len(images) / seconds}


def models(check: Check) -> dict[str, Any]:
    import transformers
    from torch.utils.flop_counter import FlopCounterMode

    from coreframe.tasks.embedders.embedder import embed_images
    from coreframe.tasks.embedders.huggingface import HuggingFaceEmbedder

    small = {"num_hidden_layers": 2} if check.scale < 0.1 else {}
    shallow = {"depths": [1, 1, 1, 1]} if check.scale < 0.1 else {}
    makers = {
        "resnet-50": lambda: (
            transformers.ResNetModel(transformers.ResNetConfig(**shallow)),
            transformers.ConvNextImageProcessorPil(size={"shortest_edge": 224}),
        ),
        "vit-s/14": lambda: (
            transformers.Dinov2Model(
                transformers.Dinov2Config(
                    hidden_size=384,
                    num_attention_heads=6,
                    patch_size=14,
                    image_size=224,
                    **{"num_hidden_layers": 12, **small},
                )
            ),
            transformers.BitImageProcessorPil(
                size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}
            ),
        ),
    }
    batch = check.many(256, 4)
    found: dict[str, Any] = {}
    for name, make in makers.items():
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            for part in make():
                part.save_pretrained(folder)
            embedders = [
                HuggingFaceEmbedder(f"hf:{folder}", None, device, size)
                for device, size in ((check.device, batch), (CPU, 4))
            ]
        images = frames(2 * batch, 224)
        on_device = embed_images(embedders[0], images, check.device)[:8].astype(float)
        on_cpu = embed_images(embedders[1], images[:8], CPU).astype(float)
        apart = np.linalg.norm(on_device - on_cpu, axis=1).max() / 4000
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            embedders[1].embed(torch.from_numpy(np.stack(images[:4])))
        seconds = check.seconds(partial(embed_images, embedders[0], images, check.device))
        flops = counter.get_total_flops() / 4 * len(images)
        dtype = "bfloat16" if check.device.type == "cuda" else "float32"
        found[name] = {
            "batch": batch,
            "frames_per_s": len(images) / seconds,
            "flops_per_frame": flops / len(images),
            f"share_of_{dtype}": flops / seconds / check.ceilings[f"{dtype}_flops_per_s"],
            "largest_l2_from_cpu_float32": apart,
        }
        if apart > 0.1:
            raise Differs(f"{name}: a vector is {apart:.3f} from the CPU's")
    return found


def simclr(check: Check) -> dict[str, Any]:
    from coreframe.tasks.train.frames import TrainingFrames
    from coreframe.tasks.train.job import begin, epoch, finish
    from coreframe.tasks.train.settings import TrainingSettings

    count = check.many(20_000, 64)
    settings = TrainingSettings(max_epochs=2, batch_size=check.many(512, 16))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "frames.npy")
        np.save(file, np.stack(frames(count, 64)))
        shown = TrainingFrames((file,), np.zeros(count, np.int32), np.arange(count) / 10)
        results, seconds = [], []
        for _ in range(2):
            state = begin(None, settings, check.device.type)
            for _ in range(settings.max_epochs):
                start = time.perf_counter()
                state = epoch(state, shown, settings, check.device.type)
                check.wait()
                seconds.append(time.perf_counter() - start)
            results.append(finish(state, count, 64))
    if results[0].checkpoint != results[1].checkpoint:
        raise Differs("two trainings from one seed")
    return {"same": True, "frames": count, "frames_per_s": count / min(seconds[1:])}


def run(command: list[str], **options: Any) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr}")


def whole(check: Check) -> dict[str, Any]:
    """Run the command as people do. The videos are the demo's."""
    found: dict[str, Any] = {}
    tables = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make = [sys.executable, str(ROOT / "data" / "make_demo.py"), str(folder / "videos")]
        run(make)
        for device in ("cpu", check.device.type):
            out = folder / f"out-{device}-{len(tables)}"
            command = [sys.executable, "-m", "coreframe", "curate", str(folder / "videos")]
            command += ["--store", str(folder / f"store-{len(tables)}"), "--out", str(out)]
            command += ["--device", device, "--n-samples", "40", "--corrupt-threshold", "0.2"]
            environment = os.environ | {"PREFECT_HOME": str(folder / "prefect")}
            start = time.perf_counter()
            run(command, env=environment, cwd=folder)
            found[f"run_{len(tables)}_{device}_s"] = time.perf_counter() - start
            found[f"run_{len(tables)}_{device}_stages_s"] = json.loads(
                (out / "run.json").read_text()
            )["timings_s"]
            tables.append((out / "selection.parquet").read_bytes())
    if tables[0] != tables[1]:
        raise Differs("the selections of the whole runs")
    return found | {"same": True}


SECTIONS: dict[str, Callable[[Check], dict[str, Any]]] = {
    "ceilings": ceilings,
    "selection": selection,
    "descriptor": descriptor,
    "models": models,
    "simclr": simclr,
    "selection-naive": selection_naive,
    "selection-large": selection_large,
    "frames": frames_equal,
    "decode-rates": decode_rates,
    "ingest": ingest,
    "whole": whole,
}


def machine(device: torch.device) -> dict[str, Any]:
    from selection import machine as processor

    found = processor()
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"gpu": properties.name, "gpu_memory_bytes": properties.total_memory}
        found["cuda"] = torch.version.cuda
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--scale", type=float, default=1.0, help="of everything that is measured")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no GPU here; --device cpu --scale 0.01 tries the script itself")
    check = Check(torch.device(arguments.device), arguments.scale, {})
    report: dict[str, Any] = {"machine": machine(check.device), "scale": check.scale}
    failed = False
    for name in dict.fromkeys(["ceilings", *arguments.only]):
        start = time.perf_counter()
        try:
            report[name] = SECTIONS[name](check)
        except Exception as error:  # the others are of use without it
            failed = True
            report[name] = {"error": f"{type(error).__name__}: {error}"}
            traceback.print_exc()
        took = time.perf_counter() - start
        print(f"{name} ({took:.0f} s): {json.dumps(report[name])}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
