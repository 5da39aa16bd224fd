"""Memory handed on as keys and values: positions, sizes, and that decoding needs to know nothing of it."""

import pytest
import torch

from contextpress.compressor.key_values import KeyValueConnector, spaced
from contextpress.compressor.model import Compressor
from contextpress.compressor.objectives import Autoencoding
from contextpress.compressor.readouts import MeanPool
from contextpress.compressor.spec import Architecture
from contextpress.reconstruction.greedy import reconstruct, score, stepwise
from contextpress.reconstruction.metrics import teacher_forced
from contextpress.runtime.errors import UserError
from tests.unit.models import VOCABULARY, tiny
from tests.unit.test_compressor import BOS, RESTATE, WINDOW, compressor, passages

SEPARATE = ("llama", "llama-grouped", "qwen2")  # families with key and value matrices of their own


class WholeText(MeanPool):
    """The identity: every token's keys and values."""

    key_values = True


def whole_text(family):
    """A compressor that hands on all of a text, by a decoder that is its own encoder."""
    architecture = Architecture(readout="kv_prefix", ratio=1)
    made = Compressor(tiny(family), tiny(family), architecture, WINDOW, BOS, RESTATE).eval()
    made.readout = WholeText(WINDOW, torch.empty(0))
    return made


@pytest.mark.parametrize("family", SEPARATE)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_keys_and_values_of_a_text_are_read_as_the_text_itself(family, attention):
    made, ids, target = whole_text(family), passages(), passages().flip(1)
    for model in (made.encoder, made.decoder):
        model.set_attn_implementation(attention)
    by_memory = made.logits(made.prefix(made.compress(ids)), target)
    by_text = made.logits(made.framed(made.embed(ids)), target)
    torch.testing.assert_close(by_memory, by_text, rtol=0, atol=1e-5)
    marks = torch.tensor([[BOS], [RESTATE]]).expand(2, 3).unsqueeze(-1)
    plain = made.decoder(torch.cat([marks[0], ids, marks[1], target], dim=1)).logits[:, WINDOW + 1 : -1]
    torch.testing.assert_close(by_memory, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", SEPARATE)
def test_greedy_text_after_keys_and_values_is_that_after_the_text(family):
    made = whole_text(family).double()
    made.embed = made.decoder.get_input_embeddings()
    ids = torch.randint(2, VOCABULARY, (11, WINDOW), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        prefix, text = made.prefix(made.compress(ids)), made.framed(made.embed(ids))
        expected, _ = stepwise(made.decoder, text, WINDOW)
        assert len(expected.unique()) > 9  # else a constant would pass
        assert stepwise(made.decoder, prefix, WINDOW)[0].equal(expected)
        for batch in (3, 64):
            done = reconstruct(made.decoder, prefix, ids, batch=batch)
            assert done.ids.equal(expected)
            nll, accuracy = teacher_forced(made.logits(text, ids), ids)
            torch.testing.assert_close(done.nll, nll)
            torch.testing.assert_close(done.accuracy, accuracy)
        which = torch.arange(11).flip(0)
        torch.testing.assert_close(
            score(made.decoder, prefix, which, ids)[:2], score(made.decoder, text, which, ids)[:2]
        )


def test_inputs_that_carry_nothing_are_read_as_before():
    made, ids, plain = compressor("kv_prefix"), passages(), tiny("llama", seed=1)
    text = made.framed(made.embed(ids))
    made.decoder(inputs_embeds=made.prefix(made.compress(ids)))
    torch.testing.assert_close(made.decoder(ids).logits, plain(ids).logits)
    torch.testing.assert_close(made.decoder(inputs_embeds=text).logits, plain(inputs_embeds=text).logits)


@pytest.mark.parametrize(
    ("available", "wanted", "places"),
    [(4, 4, [0, 1, 2, 3]), (2, 4, [0, 0, 1, 1]), (4, 2, [0, 3]), (5, 3, [0, 2, 4]), (3, 1, [2]), (1, 3, [0, 0, 0])],
)
def test_layers_are_evenly_spaced(available, wanted, places):
    assert spaced(available, wanted) == places


def test_each_layers_keys_and_values_come_from_their_own_by_hand():
    encoder, decoder = (tiny("llama", num_hidden_layers=n).get_decoder() for n in (2, 3))
    connector = KeyValueConnector(encoder, decoder)
    states = torch.randn(1, 2, 4 * 32)
    first, last = states[..., :64], states[..., 64:]
    torch.testing.assert_close(connector(states), torch.cat([first, first, last], dim=-1))
    with torch.no_grad():
        connector.maps[3].weight.mul_(2)
        connector.maps[3].bias.fill_(1)
    torch.testing.assert_close(connector(states)[..., 96:128], 2 * first[..., 32:] + 1)


@pytest.mark.parametrize("training", ["full", "lora"])
def test_models_of_other_sizes_learn(training):
    torch.manual_seed(0)
    encoder = tiny("llama", num_hidden_layers=3)
    decoder = tiny("qwen2", hidden_size=48, seed=1)  # two key-value heads of four
    architecture = Architecture(
        readout="kv_prefix",
        ratio=4,
        encoder_training=training,
        decoder_training="frozen" if training == "full" else "lora",
    )
    made = Compressor(encoder, decoder, architecture, WINDOW, BOS, RESTATE)
    assert made.compress(passages()).shape == (3, WINDOW // 4, 2 * 2 * 24)
    before = made.logits(made.prefix(made.compress(passages())), passages()).detach()
    Autoencoding(made, 0.0)(passages()).backward()
    for part in (made.readout, made.connector, made.encoder.layers[0]):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters())
    assert (training == "full") == all(p.grad is None for p in made.decoder.parameters())
    other = made.logits(made.prefix(made.compress(passages().flip(0))), passages())
    assert not torch.allclose(before, other)


def test_a_model_with_fused_projections_is_refused():
    with pytest.raises(UserError, match="gpt_neox does not compute keys and values by matrices of their own"):
        Compressor(tiny("llama"), tiny("gpt-neox"), Architecture(readout="kv_prefix", ratio=2), WINDOW, BOS, RESTATE)
