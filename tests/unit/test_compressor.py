"""The compressor: shapes, what the decoder reads, what learns, and that it comes back from disk unchanged."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from contextpress.compressor.connectors import CONNECTORS, Alignment, least_squares, start_at
from contextpress.compressor.folder import load_compressor, parts_of, save_compressor
from contextpress.compressor.model import Compressor
from contextpress.compressor.objectives import Autoencoding
from contextpress.compressor.readouts import READOUTS, Interleaved, MeanPool, MemoryTokens
from contextpress.compressor.spec import Architecture, CompressorSpec, Curriculum
from contextpress.compressor.training import train
from contextpress.lm.folder import save_model
from contextpress.runtime.errors import UserError
from contextpress.runtime.schedule import Schedule
from contextpress.tokens.tokenizer import train_tokenizer
from tests.unit.models import FAMILIES, VOCABULARY, WIDTH, tiny

BOS, RESTATE, WINDOW = 0, 1, 8


def compressor(readout="memory_tokens", ratio=2, seed=0, decoder_shape=None, **parts):
    torch.manual_seed(seed)
    architecture = Architecture(readout=readout, ratio=ratio, **parts)
    decoder = tiny("llama", seed=1, **(decoder_shape or {}))
    return Compressor(tiny("llama"), decoder, architecture, WINDOW, BOS, RESTATE)


def passages(rows=3):
    return torch.randint(2, VOCABULARY, (rows, WINDOW), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("readout", sorted(set(READOUTS) - {"kv_prefix"}))
@pytest.mark.parametrize("ratio", [1, 2, 4, 8])
@pytest.mark.parametrize("connector", CONNECTORS)
def test_as_many_vectors_as_slots_in_the_decoders_width(readout, ratio, connector):
    made = compressor(readout, ratio, connector=connector, decoder_shape={"hidden_size": 48})
    memory = made.compress(passages())
    assert memory.shape == (3, WINDOW // ratio, 48)
    prefix = made.prefix(memory)
    assert prefix.shape == (3, WINDOW // ratio + 2, 48)
    table = made.decoder.get_input_embeddings().weight
    torch.testing.assert_close(prefix[:, 0], table[BOS].expand(3, -1))
    torch.testing.assert_close(prefix[:, 1:-1], memory)
    torch.testing.assert_close(prefix[:, -1], table[RESTATE].expand(3, -1))


def test_memory_tokens_stand_at_the_end_at_the_positions_of_their_groups():
    readout = MemoryTokens(3, torch.randn(20, 4))
    for slots in (1, 2, 3):
        text = 1 + 2 * slots
        inputs, positions = readout.inputs(torch.zeros(2, text, 4), 2)
        assert inputs.shape == (2, text + slots, 4)
        torch.testing.assert_close(inputs[1, text:], readout.tokens[:slots])
        torch.testing.assert_close(readout.select(inputs, 2), inputs[:, text:])
        assert positions.tolist() == [*range(text), *(2, 4, 6)[:slots]]


def test_interleaved_tokens_follow_their_groups():
    readout = Interleaved(2, torch.randn(20, 4))
    text = torch.randn(3, 5, 4)
    inputs, positions = readout.inputs(text, 2)
    token = readout.token.expand(3, 4)
    torch.testing.assert_close(
        inputs, torch.stack([text[:, 0], text[:, 1], text[:, 2], token, text[:, 3], text[:, 4], token], dim=1)
    )
    assert positions.tolist() == [0, 1, 2, 2, 3, 4, 4]
    torch.testing.assert_close(readout.select(inputs, 2), token.unsqueeze(1).expand(3, 2, 4))
    assert readout.select(torch.arange(7.0).view(1, 7, 1), 2).flatten().tolist() == [3, 6]


# Which of the passage's eight tokens each of its two memory vectors depends on.
@pytest.mark.parametrize(
    ("readout", "seen"),
    [
        ("memory_tokens", ["11111111", "11111111"]),
        ("interleaved", ["11110000", "11111111"]),
        ("kv_prefix", ["11110000", "11111111"]),
        ("mean_pool", ["11110000", "11111111"]),
    ],
)
def test_what_a_memory_vector_sees(readout, seen):
    made = compressor(readout, ratio=4)
    embedded = made.encoder.get_input_embeddings()(passages(1))

    def memory(text):
        made.encoder.get_input_embeddings().forward = lambda ids: torch.cat([torch.ones(1, 1, text.shape[2]), text], 1)
        return made.compress(passages(1))[0]

    slopes = torch.autograd.functional.jacobian(memory, embedded.detach())  # [slot, width, 1, token, width]
    assert ["".join("01"[int(x.any())] for x in slot.squeeze(1).unbind(1)) for slot in slopes] == seen


def test_mean_pool_by_hand():
    states = torch.arange(10.0).view(1, 5, 2)  # the first is that of <bos>
    pooled = MeanPool(2, torch.empty(0, 2)).select(states, 2)
    assert pooled.tolist() == [[[3.0, 4.0], [7.0, 8.0]]]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_alignment_block_is_the_decoders_first(family):
    decoder, states = tiny(family), torch.randn(2, 5, WIDTH)
    alignment = Alignment(WIDTH, decoder).eval()
    with torch.no_grad():
        alignment.inner.weight.copy_(torch.eye(WIDTH))
        alignment.inner.bias.zero_()
        expected = decoder(inputs_embeds=states, output_hidden_states=True).hidden_states[1]
        torch.testing.assert_close(alignment(states), expected)


def test_the_alignment_block_learns_and_the_decoder_does_not():
    made = compressor("mean_pool", connector="alignment")
    before = {name: p.clone() for name, p in made.decoder.named_parameters()}
    Autoencoding(made, 0.0)(passages()).backward()
    with torch.no_grad():
        for p in made.connector.parameters():
            assert p.grad.any()
            p.add_(1.0)
    assert all(p.equal(before[name]) for name, p in made.decoder.named_parameters())


def test_alignment_refuses_a_decoder_whose_blocks_it_does_not_know():
    other = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(UserError, match="gpt2 has no first block"):
        Alignment(WIDTH, other)


@pytest.mark.parametrize(("width", "decoder_width"), [(6, 6), (6, 9), (9, 6)])
def test_the_map_between_two_embedding_tables_is_that_of_least_squares(width, decoder_width):
    source, target = (
        torch.randn(40, n, generator=torch.Generator().manual_seed(n)) for n in (width, decoder_width + 1)
    )
    target = target[:, 1:]
    weight, bias = least_squares(source, target)
    columns = np.column_stack([source.double().numpy(), np.ones(40)])
    wanted = np.linalg.lstsq(columns, target.double().numpy(), rcond=None)[0]
    np.testing.assert_allclose(weight.numpy(), wanted[:-1].T, atol=1e-6)
    np.testing.assert_allclose(bias.numpy(), wanted[-1], atol=1e-6)


@pytest.mark.parametrize("connector", ["linear", "mlp", "deep"])
@pytest.mark.parametrize("decoder_width", [WIDTH // 2, WIDTH, 48])
def test_a_connector_starts_as_an_affine_map(connector, decoder_width):
    torch.manual_seed(0)
    body = CONNECTORS[connector](WIDTH, tiny("llama", hidden_size=decoder_width))
    weight, bias = torch.randn(decoder_width, WIDTH), torch.randn(decoder_width)
    start_at(body, weight, bias)
    states = 3 * torch.randn(5, 2, WIDTH)
    torch.testing.assert_close(body(states), states @ weight.T + bias, atol=1e-4, rtol=1e-4)
    body(states).square().sum().backward()
    assert all(p.grad is not None for p in body.parameters())


def test_a_connector_between_a_model_and_itself_starts_as_the_identity():
    made = compressor("mean_pool", connector_start="least_squares")
    same = Compressor(*(tiny("llama"), tiny("llama"), made_of(), WINDOW, BOS, RESTATE))
    states = torch.randn(3, 4, WIDTH)
    torch.testing.assert_close(same.connector.body(states), states, atol=1e-3, rtol=1e-3)
    # Between two models, tokens come nearer to their own embeddings than the mean of all is to them.
    source, target = (model.get_input_embeddings().weight.detach() for model in (made.encoder, made.decoder))
    error = (made.connector.body(source) - target).square().sum()
    assert error < (target - target.mean(0)).square().sum()


def made_of():
    return Architecture(readout="mean_pool", ratio=2, connector_start="least_squares")


def test_a_connector_with_a_block_starts_at_no_map():
    with pytest.raises(ValueError, match="cannot be started"):
        compressor("mean_pool", connector="alignment", connector_start="least_squares")


def test_a_connector_that_starts_at_random_is_described_as_before():
    assert "connector_start" not in Architecture(readout="mean_pool", ratio=2).model_dump_json()
    assert Architecture.model_validate_json(made_of().model_dump_json()) == made_of()


def test_predictions_are_aligned_with_their_tokens():
    """The teacher-forced loss is that of the decoder on [prefix, x], read off one place before each token."""
    made, ids = compressor(), passages()
    prefix = made.prefix(made.compress(ids))
    whole = torch.cat([prefix, made.embed(ids)], dim=1)
    logits = made.decoder(inputs_embeds=whole).logits
    expected = logits[:, prefix.shape[1] - 1 : -1]
    torch.testing.assert_close(made.logits(prefix, ids), expected)


def test_a_token_does_not_see_itself():
    made, ids = compressor(), passages(1)
    changed = ids.clone()
    changed[0, -1] = 2 if ids[0, -1] != 2 else 3
    prefix = made.prefix(made.compress(ids))
    torch.testing.assert_close(made.logits(prefix, ids), made.logits(prefix, changed))


def test_a_frozen_decoder_learns_nothing_and_stays_in_evaluation_mode():
    made = compressor()
    Autoencoding(made, 0.0)(passages()).backward()
    assert not made.decoder.training
    assert all(p.grad is None and not p.requires_grad for p in made.decoder.parameters())
    learning = {name for name, p in made.named_parameters() if p.requires_grad}
    without = {name for name, p in made.named_parameters() if p.requires_grad and p.grad is None}
    assert not without
    assert {"restate", "readout.tokens", "connector.gain"} < learning
    assert any(name.startswith("encoder.") for name in learning)


@pytest.mark.parametrize(("training", "share"), [("full", 1.0), ("lora", 0.5)])
def test_a_trained_decoder_learns_all_or_a_low_rank(training, share):
    made = compressor(decoder_training=training, encoder_training="lora", lora={"rank": 2, "alpha": 4})
    for part in (made.decoder, made.encoder):
        learning = sum(p.numel() for p in part.parameters() if p.requires_grad)
        total = sum(p.numel() for p in part.parameters())
        assert 0 < learning <= share * total or (training == "full" and learning == total)


def test_training_uses_the_memory():
    """On passages drawn from few tokens, a short training makes real memory better than that of another passage."""
    made = compressor(ratio=1, decoder_training="full")
    rows = torch.randint(2, 10, (256, WINDOW), generator=torch.Generator().manual_seed(0))
    schedule = Schedule(steps=150, batch=32, learning_rate=5e-3)
    done = train(Autoencoding(made, 0.0), {"a": rows.numpy()}, {"a": 1.0}, schedule, Curriculum(), seed=0, name="test")
    assert len(done.loss) == 150
    assert done.loss[-1] < 0.7 * done.loss[0]
    with torch.no_grad():
        memory = made.compress(rows[:64])
        real, other = (
            torch.nn.functional.cross_entropy(made.logits(made.prefix(m), rows[:64]).flatten(0, 1), rows[:64].flatten())
            for m in (memory, memory.roll(1, 0))
        )
    assert real < other - 0.2


@pytest.mark.parametrize("readout", ["memory_tokens", "kv_prefix"])
def test_a_compressor_comes_back_unchanged_and_only_on_its_own_models(readout, tmp_path):
    encoder, decoder = tiny("llama"), tiny("llama", seed=1)
    words = train_tokenizer(["a few words to train on"] * 5, 270)
    for name, model in (("e", encoder), ("d", decoder)):
        save_model(model, tmp_path / name)
    words.save_pretrained(tmp_path / "words")
    spec = CompressorSpec(
        name="x",
        encoder="e",
        decoder="d",
        architecture=Architecture(readout=readout, ratio=2),
        objective="autoencoding",
        continuation_weight=0.5,
        schedule=Schedule(steps=1, batch=1, learning_rate=0.1),
        curriculum=Curriculum(),
        window=WINDOW,
        domains={"a": 1.0},
        seed=0,
    )
    made = compressor(readout)
    with torch.no_grad():
        for p in made.parameters():
            if p.requires_grad:
                p.add_(0.1)
    parts = parts_of(tmp_path / "e", tmp_path / "d", tmp_path / "words")
    save_compressor(made, spec, parts, tmp_path / "x")
    device = torch.device("cpu")
    again = load_compressor(tmp_path / "x", parts, device)
    torch.testing.assert_close(again.compress(passages()), made.eval().compress(passages()))
    with pytest.raises(UserError, match="trained on another decoder"):
        load_compressor(tmp_path / "x", parts | {"decoder": tmp_path / "e"}, device)


def test_a_ratio_that_does_not_divide_the_window_is_refused():
    with pytest.raises(ValueError, match="does not divide"):
        compressor(ratio=3)


def test_the_curriculum_lengthens_passages_and_ends_on_the_window():
    curriculum = Curriculum(quarter=0.5, half=0.25)
    assert [curriculum.length(step / 8, 32, 4) for step in range(8)] == [8] * 4 + [16] * 2 + [32] * 2
    assert curriculum.length(0.0, 16, 8) == 8  # a quarter would be less than one memory vector


def test_the_curriculum_puts_more_and_more_tokens_into_a_vector():
    curriculum = Curriculum(quarter=0.5, half=0.25, small_groups=0.5)
    assert [curriculum.group(step / 8, 32, 4) for step in range(8)] == [1, 1, 2, 2, 4, 4, 4, 4]
    assert [curriculum.group(step / 8, 30, 6) for step in range(8)] == [2, 2, 2, 3, 6, 6, 6, 6]
    assert curriculum.group(0.0, 32, 1) == 1
    assert Curriculum(small_groups=0).group(0.0, 32, 4) == 4


@given(st.integers(1, 16), st.integers(1, 8), st.floats(0, 0.999), st.floats(0, 0.999), st.floats(0, 0.999))
def test_the_curriculum_never_makes_more_vectors_than_the_window_has(slots, ratio, progress, quarter, small):
    curriculum = Curriculum(quarter=quarter, half=0, small_groups=small)
    window = slots * ratio
    length, group = curriculum.length(progress, window, ratio), curriculum.group(progress, window, ratio)
    assert length % group == 0 == ratio % group
    assert 1 <= length // group <= slots
