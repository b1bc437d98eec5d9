"""The nearest center of every row of a partition, exactly, as new centers are compared with it."""

from __future__ import annotations

from functools import cached_property

from coreframe.tasks.kcenter.bfloat16 import Bfloat16Screen, screen_pays
from coreframe.tasks.kcenter.pairs import PairScreen, pairs_pay
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.pruning import Unpruned
from coreframe.tasks.lattice import Targets, Workspace
from coreframe.tasks.lazy import torch


class NearestCenters:
    """What a partition's rows have as their nearest center, being brought up to date.

    Attributes:
        distance: (n,) int32 squared distance of each row to its nearest center.
        owner: (n,) int32, that center; new ones are numbered after those there were.
        distances_formed: (row, new center) distances formed here.
        rough_distances_formed: in bfloat16, formed here.
    """

    def __init__(self, part: Partition, new: Targets, first_number: int) -> None:
        """Begin with what the partition knows.

        Args:
            part: the partition; it is left as it is.
            new: the new centers.
            first_number: how many centers there were: the new ones are numbered from here.
        """
        self.distance, self.owner = part.distance.clone(), part.owner.clone()
        self.distances_formed = self.rough_distances_formed = 0
        self._vectors, self._tuning = part.vectors, part.tuning
        self._new, self._number = new, (first_number + new.place).int()
        dim, device = part.vectors.dim, part.rows.device
        self._screen: Bfloat16Screen | None = None
        self._pairs: PairScreen | None = None
        if pairs_pay(device, part.tuning) and len(new) >= part.tuning.pairs_least_targets:
            self._pairs = PairScreen(dim, len(part), len(new), device, part.tuning)
        elif screen_pays(device, part.tuning):
            self._screen = Bfloat16Screen(dim, len(new), part.tuning)

    @cached_property
    def _workspace(self) -> Workspace:
        """For exact products; made with the first: on a GPU it is large, and often not needed."""
        dim, device = self._vectors.dim, self.distance.device
        return Workspace(dim, len(self._new), device, self._tuning.tile_values)

    def compare(self, left: Unpruned) -> None:
        """Compare rows with new centers."""
        for chosen, places, vectors, at in left.pieces(self._vectors):
            self._compare_cell(chosen, places, vectors, at)

    def _compare_cell(
        self, chosen: torch.Tensor, places: torch.Tensor, vectors: torch.Tensor, at: torch.Tensor
    ) -> None:
        """Compare rows, whose vectors lie at ``at``, with the new centers chosen."""
        tuning, screen = self._tuning, self._screen
        some, number = self._new.at(chosen), self._number.index_select(0, chosen)
        if self._pairs is not None and len(some) >= tuning.pairs_least_targets:
            lengths = self._new.norms.index_select(0, chosen)
            self._compare_pairs(self._pairs, some, (lengths, number), places, vectors, at)
            return
        small = len(places) < tuning.screen_least_rows or len(some) < tuning.screen_least_targets
        if screen is None or small:
            self._compare_exactly(some, number, places, vectors, at)
            return
        self.rough_distances_formed += len(some) * len(places)
        at_once = tuning.screen_rows
        for own, own_at in zip(places.split(at_once), at.split(at_once), strict=True):
            norms = self._vectors.norms.index_select(0, own)
            before = self.distance.index_select(0, own)
            for group, left in screen.remaining(some, vectors, own_at, norms, before):
                self._compare_exactly(
                    some.at_slice(group), number[group], own[left], vectors, own_at[left]
                )

    def _compare_pairs(
        self,
        screen: PairScreen,
        some: Targets,
        numbers: tuple[torch.Tensor, torch.Tensor],
        places: torch.Tensor,
        vectors: torch.Tensor,
        at: torch.Tensor,
    ) -> None:
        """Compare rows with some new centers, of such lengths and numbers, pair by pair.

        Where most rows of a tile are left with many pairs each, as among vectors that are all very
        near each other, rough products of the next ones would be in vain.
        """
        screen.begin(some)
        in_vain = False
        # so many ascending places are all of them, and nothing has to be gathered
        everything = len(at) == len(vectors)
        for tile in screen.tiles(len(places)):
            own, own_at = places[tile], at[tile]
            if in_vain:
                self._compare_exactly(some, numbers[1], own, vectors, own_at)
                continue
            self.rough_distances_formed += len(some) * len(own)
            norms = self._vectors.norms.index_select(0, own)
            before = self.distance.index_select(0, own)
            gathered = vectors[tile] if everything else screen.gather(vectors, own_at)
            left = screen.remaining(gathered, norms, before)
            moving = own.index_select(0, left.rows)
            if left.pairs is None:
                in_vain = 2 * len(left.rows) > len(own)
                moving_at = own_at.index_select(0, left.rows)
                self._compare_exactly(some, numbers[1], moving, vectors, moving_at)
                continue
            self.distances_formed += len(left.pairs[0])
            squared, number = screen.nearest(
                left.rows, left.pairs, some, numbers, vectors, own_at, norms
            )
            before = before.index_select(0, left.rows)
            self.distance[moving] = torch.minimum(squared, before)
            owner = self.owner.index_select(0, moving)
            self.owner[moving] = torch.where(squared < before, number, owner)

    def _compare_exactly(
        self,
        some: Targets,
        number: torch.Tensor,
        places: torch.Tensor,
        vectors: torch.Tensor,
        at: torch.Tensor,
    ) -> None:
        """Compare rows with some new centers, so numbered (int32)."""
        self.distances_formed += len(some) * len(places)
        for tile in self._workspace.tiles(len(places), self._vectors.dim, len(some)):
            own = places[tile]
            before = self.distance.index_select(0, own)
            scores = some.scores(self._workspace.widen(vectors, at[tile]), self._workspace)
            squared = some.nearest(scores, self._vectors.norms.index_select(0, own))
            nearer = torch.nonzero(squared < before).flatten()
            if len(nearer):
                moved = own.index_select(0, nearer)
                self.distance[moved] = squared.index_select(0, nearer)
                # the first of equal scores is the nearest and earliest, see Targets
                self.owner[moved] = number[scores.index_select(1, nearer).max(dim=0).indices]
