"""Bookkeeping of context: what stacks, what is selected, what is filled up."""

import pytest
import torch

from plenodream.models.context import Context


def numbered(first: int, views: int) -> Context:
    """Two kept tensors whose numbers say which view they are of."""
    kept = 10.0 * torch.arange(first, first + views).view(-1, 1) + torch.arange(3.0)
    return Context((kept, -kept))


def views_read(context: Context, batch: int) -> list[list[int]]:
    like = torch.zeros(())
    assert torch.equal(context.read(1, batch, like), -context.read(0, batch, like))
    return (context.read(0, batch, like)[..., 0] / 10).long().tolist()


def test_select_names_the_views_of_every_entry_of_a_batch():
    chosen = numbered(0, 4).select(torch.tensor([[2, 0], [3, 3]]))
    assert len(chosen) == 2
    assert views_read(chosen, 2) == [[2, 0], [3, 3]]


def test_without_a_selection_every_entry_reads_all_views_in_order():
    assert len(numbered(0, 3)) == 3
    assert views_read(numbered(0, 3), 2) == [[0, 1, 2], [0, 1, 2]]


def test_stack_holds_the_views_of_all_its_parts_in_order():
    stacked = Context.stack([numbered(0, 1), numbered(1, 3)])
    assert views_read(stacked, 1) == [[0, 1, 2, 3]]
    with pytest.raises(AssertionError):
        Context.stack([stacked.select(torch.tensor([[0]])), stacked])


@pytest.mark.parametrize(("slots", "expected"), [(None, [[2, 1]]), (2, [[2, 1]]), (4, [[2, 1, 2, 2]])])
def test_fill_repeats_the_first_view_until_the_slots_are_full(slots, expected):
    assert views_read(numbered(0, 3).select(torch.tensor([[2, 1]])).fill(slots), 1) == expected


def test_fill_repeats_the_source_of_each_entry_where_it_is_named():
    chosen = numbered(0, 4).select(torch.tensor([[2, 1], [3, 0]])).fill(3, torch.tensor([0, 1]))
    assert views_read(chosen, 2) == [[2, 1, 0], [3, 0, 1]]


def test_fill_of_all_views_repeats_the_first():
    assert views_read(numbered(5, 2).fill(3), 1) == [[5, 6, 5]]
