"""What must rerun: each rule of the smoke study with the rules that it reads, and keys with what depends on them."""

from __future__ import annotations

import re

# Each rule: its step, how many jobs the smoke study and its calibration have of it, the rules whose output it reads.
RULES = {
    "harvest": ("corpus harvest", 1, ""),
    "domain": ("corpus domain", 3, "harvest"),
    "manifest": ("corpus manifest", 1, "domain"),
    "tokenizer": ("tokens tokenizer", 1, "domain"),
    "encode": ("tokens encode", 3, "domain tokenizer"),
    "passages": ("tokens passages", 1, "domain tokenizer"),
    "mixture": ("tokens mixture", 2, "encode tokenizer"),
    "warmup": ("lm warmup", 1, "tokenizer"),
    "pretrain": ("lm train", 4, "warmup mixture tokenizer"),
    "score": ("entropy score", 4, "pretrain tokenizer passages"),
    "perplexity": ("entropy perplexity", 1, "score passages"),
    "model_free": ("entropy model_free", 1, "tokenizer encode passages"),
    "gap": ("entropy gap", 1, "pretrain tokenizer passages"),
    "compressor": ("compressor train", 4, "pretrain tokenizer encode"),
    "reconstruct": ("reconstruction reconstruct", 4, "compressor pretrain tokenizer passages"),
    "cram": ("reconstruction cram", 2, "pretrain tokenizer passages"),
    "latency": ("latency measure", 1, "pretrain tokenizer"),
    "observations": ("analysis observations", 1, "passages score model_free gap reconstruct"),
    "claims": ("analysis claims", 1, "observations"),
    "specification_table": ("analysis specification", 1, "observations"),
    "ladder_table": ("analysis ladder", 1, "observations"),
    "cramming_bound": ("analysis cramming", 1, "observations cram"),
    "predictor_table": ("analysis predictor", 1, "observations pretrain"),
    "budget_table": ("analysis budget", 1, "observations predictor_table"),
    "guidelines_finding": ("analysis guidelines", 1, "observations predictor_table"),
    "calibration_chunk": ("analysis calibration_chunk", 8, ""),
    "calibration_summary": ("analysis calibration", 1, "calibration_chunk"),
    "calibration_figure": ("figures calibration", 1, "calibration_summary"),
    "quality_by_bucket": ("figures quality_by_bucket", 1, "observations"),
    "encoder_entropy": ("figures encoder_entropy", 1, "observations claims"),
    "decoder_entropy": ("figures decoder_entropy", 1, "observations claims"),
    "grid": ("figures grid", 1, "observations claims"),
    "grid_effects": ("figures grid_effects", 1, "claims"),
    "specification": ("figures specification", 1, "specification_table"),
    "ladder": ("figures ladder", 1, "observations"),
    "cramming": ("figures cramming", 1, "cramming_bound"),
    "predictor": ("figures predictor", 1, "predictor_table"),
    "budget": ("figures budget", 1, "budget_table"),
    "learning_curves": ("figures learning_curves", 1, "compressor pretrain"),
    "summary": ("report summary", 1, ""),  # reads besides: see below
    "findings_report": ("report findings", 1, "observations claims specification_table ladder_table cramming_bound"),
    "guidelines": ("report guidelines", 1, "guidelines_finding budget_table"),
    "explorer": ("report explorer", 1, "observations passages score reconstruct tokenizer"),
    "cards": ("report cards", 1, "observations compressor pretrain"),
    "study_config": ("report config", 1, ""),
}
SAMPLED = "quality_by_bucket ladder encoder_entropy decoder_entropy grid"
DRAWN = f"{SAMPLED} grid_effects specification cramming predictor budget learning_curves"
READS = {rule: set(reads.split()) for rule, (_, _, reads) in RULES.items()}
READS["summary"] = set(
    f"observations claims guidelines_finding budget_table warmup pretrain compressor reconstruct cram {DRAWN}".split()
)

ONCE = "gap perplexity observations claims specification_table ladder_table cramming_bound summary findings_report"
ONCE += " predictor_table budget_table guidelines_finding guidelines explorer cards"
REFUSED = "refused"
BY_SAMPLE = f"claims specification_table ladder_table cramming_bound predictor_table {SAMPLED}"
PRACTICE = "budget_table guidelines_finding"
TESTS = "claims calibration_chunk"  # the simulated studies are tested by the rules of the study's own claims


def every(rules, **counts):
    """Jobs of some rules, each as often as the study has it, or as often as said."""
    return {rule: RULES[rule][1] for rule in rules.split()} | counts


OF_ONE_MIXTURE = every(f"{ONCE} {DRAWN}", mixture=1, pretrain=2, score=2, compressor=3, reconstruct=3, cram=1)

# Each key of the study: another value, and the rules whose own work depends on it, besides `study_config`, which holds
# all keys but those of UNSTORED. Where the study itself becomes another one: the jobs that run. Where no study has the
# one key without another: that it is refused.
KEYS = {
    "study": ("other", every(" ".join(rule for rule in RULES if not rule.startswith("calibration")))),
    # Seed 0 has models 0 and 1, seed 1 has 1 and 2.
    "seeds": ([1], every(f"compressor reconstruct cram latency {ONCE} {DRAWN}", pretrain=2, score=2)),
    "gpus": (1, ""),
    "corpus.document_characters": (5000, "harvest domain"),
    "corpus.validation": (0.06, "harvest domain"),
    "corpus.test": (0.12, "harvest domain"),
    "corpus.characters": (160_000, "harvest domain"),
    "corpus.seed": (1, "arithmetic"),
    "corpus.domains[0].name": ("text", REFUSED),
    "corpus.domains[0].characters": (100_000, "harvest"),
    "corpus.domains[0].kind": ("uniform", "harvest, generated"),
    "corpus.domains[0].extract": ("tables", "harvest"),
    "corpus.domains[1].name": ("text", REFUSED),
    "corpus.domains[1].characters": (100_000, "harvest"),
    "corpus.domains[1].kind": ("uniform", "harvest, generated"),
    "corpus.domains[1].extract": ("tables", "harvest"),
    "corpus.domains[2].name": ("text", REFUSED),
    "corpus.domains[2].characters": (100_000, "arithmetic"),
    "corpus.domains[2].kind": ("uniform", "arithmetic, generated"),
    "corpus.natural": (["code"], REFUSED),
    "corpus.formal": (["code"], OF_ONE_MIXTURE),  # D6 changes, D1 has no formal text
    "corpus.mixture_tokens": (19_000, "mixture"),
    "tokens.tokenizer.vocabulary": (600, "tokenizer"),
    "tokens.tokenizer.load": ("some/tokenizer", REFUSED),
    "tokens.tokenizer.revision": ("main", REFUSED),
    "tokens.passages.window": (8, "passages compressor latency"),
    "tokens.passages.test": (17, "passages"),
    "tokens.passages.validation": (9, "passages"),
    "tokens.passages.ladder": (5, "passages"),
    "lm.shapes[0].name": ("second", REFUSED),
    "lm.shapes[0].layers": (2, "warmup"),
    "lm.shapes[0].width": (64, "warmup"),
    "lm.shapes[0].heads": (4, "warmup"),
    "lm.shapes[0].intermediate": (96, "warmup"),
    "lm.shapes[0].context": (256, "warmup"),
    "lm.shapes[0].seed": (1, "warmup"),
    **{
        f"lm.models[{place}].{key}": (value, REFUSED)
        for place in (0, 1)
        for key, value in {
            "name": "Other",
            "load": "some/model",
            "revision": "main",
            "shape": "second",
            "tokenizer": "own",
            "window": 40,
        }.items()
    },
    # Another mixture for one of the models: two are pretrained on it (of two seeds), and all pairs but one change. The
    # first model of each shape is timed.
    "lm.models[0].pretrain": ("D2", OF_ONE_MIXTURE | {"latency": 1}),
    "lm.models[1].pretrain": ("D2", OF_ONE_MIXTURE),
    "lm.groups": ([1, 2], "warmup pretrain"),
    "lm.warmup.schedule.steps": (41, "warmup"),
    "lm.warmup.schedule.batch": (17, "warmup"),
    "lm.warmup.schedule.learning_rate": (0.02, "warmup"),
    "lm.warmup.schedule.rise": (0.2, "warmup"),
    "lm.warmup.schedule.weight_decay": (0.02, "warmup"),
    "lm.warmup.schedule.processes": (2, "warmup"),
    "lm.warmup.schedule.sharding": ("full", REFUSED),
    "lm.warmup.longest": (8, "warmup"),
    "lm.pretraining.schedule.steps": (101, "pretrain"),
    "lm.pretraining.schedule.batch": (17, "pretrain"),
    "lm.pretraining.schedule.learning_rate": (0.02, "pretrain"),
    "lm.pretraining.schedule.rise": (0.2, "pretrain"),
    "lm.pretraining.schedule.weight_decay": (0.02, "pretrain"),
    "lm.pretraining.schedule.processes": (2, "pretrain"),
    "lm.pretraining.schedule.sharding": ("full", REFUSED),
    "lm.pretraining.row": (24, "mixture pretrain"),
    "lm.pretraining.restate_share": (0.3, "pretrain"),
    "lm.pretraining.random_share": (0.3, "pretrain"),
    "entropy.buckets": (4, "score"),
    "compressor.encoders": (["D6"], every(f"latency {ONCE} {DRAWN}")),  # model D1-s0 goes: D1-s1 is timed in its place
    "compressor.decoders": (["D6"], every(f"{ONCE} {DRAWN}")),
    "compressor.readouts": (["interleaved"], "compressor latency"),
    "compressor.ratios": ([2], "compressor latency observations"),
    "compressor.connector": ("linear", "compressor latency"),
    "compressor.encoder_training": ("lora", "compressor"),
    "compressor.decoder_training": ("lora", "compressor observations"),
    "compressor.lora.rank": (8, ""),  # nothing is trained by LoRA
    "compressor.lora.alpha": (16, ""),
    "compressor.objective": ("autoencoding_continuation", "compressor"),
    "compressor.continuation_weight": (0.4, ""),  # nothing is continued
    "compressor.schedule.steps": (61, "compressor"),
    "compressor.schedule.batch": (17, "compressor"),
    "compressor.schedule.learning_rate": (0.02, "compressor"),
    "compressor.schedule.rise": (0.2, "compressor"),
    "compressor.schedule.weight_decay": (0.02, "compressor"),
    "compressor.schedule.processes": (2, "compressor"),
    "compressor.schedule.sharding": ("full", REFUSED),
    "compressor.curriculum.quarter": (0.2, "compressor"),
    "compressor.curriculum.half": (0.3, "compressor"),
    "compressor.curriculum.small_groups": (0.2, "compressor"),
    "compressor.domains": ({"prose": 2.0, "code": 1.0, "arithmetic": 1.0}, "compressor"),
    "reconstruction.batch": (120, "reconstruct"),
    "reconstruction.cramming.passages": (5, "cram"),
    "reconstruction.cramming.vectors": ([2], "cram"),
    "reconstruction.cramming.steps": (11, "cram"),
    "reconstruction.cramming.learning_rate": (2.0, "cram"),
    "reconstruction.cramming.batch": (32, "cram"),
    # The ends are the study's own compressors. Without pairs nothing else of the section is asked for.
    "mitigation.pairs": (
        [{"encoder": "D1", "decoder": "D6"}],
        every(
            "summary findings_report guidelines_finding guidelines",
            merge=3,
            infuse=4,
            score=4,
            mistakes=2,
            debias=2,
            compressor=18,
            reconstruct=18,
            **dict.fromkeys(("arms_table", "mitigation", "infusion_table", "infusion"), 1),
        ),
    ),
    **{
        f"mitigation.{key}": (value, "")
        for key, value in {
            "ratio": 2,
            "extra_compute": 0.25,
            "arms": ["decoder_full"],
            "larger_shape": "base",
            "measure": "bleu",
            "smallest_share": 0.5,
            **{f"infusion.doses[{place}].share": 0.25 * place + 0.2 for place in range(3)},
            "infusion.doses[3].share": 0.9,
            **{f"infusion.doses[{place}].steps": 3 * place + 4 for place in range(4)},
            "infusion.learning_rate": 0.001,
            "infusion.tolerance": 0.2,
            "debias.passages": 48,
            "debias.beta": 0.5,
            "debias.weight": 0.5,
            **{f"debias.schedule.{key}": value for key, value in {"steps": 4, "batch": 6, "processes": 2}.items()},
            **{f"debias.schedule.{key}": 0.02 for key in ("learning_rate", "rise", "weight_decay")},
        }.items()
    },
    "mitigation.debias.schedule.sharding": ("full", REFUSED),
    **{f"analysis.claims.{claim}.statement": ("Otherwise.", "claims") for claim in ("c1", "c2", "c3")},
    "analysis.claims.c1.measure": ("bleu", "claims specification_table predictor_table"),
    "analysis.claims.c2.measure": ("bleu", "claims specification_table"),
    "analysis.claims.c3.measure": ("bleu", "claims specification_table guidelines_finding"),
    **{f"analysis.claims.{claim}.smallest_effect": (0.2, TESTS) for claim in ("c1", "c2")},
    "analysis.claims.c3.smallest_effect": (0.2, f"{TESTS} guidelines_finding"),
    **{
        f"analysis.claims.{claim}.decoder_training": ("full", "claims specification_table guidelines_finding")
        for claim in ("c1", "c3")
    },
    "analysis.claims.c2.decoder_training": ("full", "claims specification_table"),
    "analysis.claims.c1.predictor": ("encoder_bits_per_byte", "claims specification_table guidelines_finding"),
    "analysis.claims.c2.predictor": ("decoder_bits_per_byte", "claims specification_table"),
    "analysis.claims.c2.controls": (["encoder_nll"], "claims specification_table"),
    "analysis.claims.c3.pooling_alpha": (0.1, f"{TESTS} specification_table guidelines_finding"),
    "analysis.claims.also_measures": (["bleu"], "claims predictor_table"),
    "analysis.claims.alpha": (0.1, f"{TESTS} {PRACTICE}"),
    "analysis.claims.correction": ("bh", f"{TESTS} guidelines_finding"),
    "analysis.claims.draws": (300, f"claims ladder_table cramming_bound {PRACTICE}"),
    "analysis.claims.seed": (1, BY_SAMPLE),
    "analysis.claims.cluster": ("source", BY_SAMPLE),
    "analysis.claims.min_passages": (50, "claims cramming_bound predictor_table"),
    "analysis.claims.min_documents": (10, "claims cramming_bound predictor_table"),
    "analysis.claims.min_seeds": (1, f"claims cramming_bound {PRACTICE}"),
    "analysis.claims.variants": (["reversed"], "claims specification_table cramming_bound predictor_table"),
    "analysis.claims.natural_only": (False, BY_SAMPLE),
    "analysis.memory_test.confidence": (0.9, "observations"),
    "analysis.memory_test.min_gain": (-9.0, "observations"),
    "analysis.specification.measures": (["bleu"], "specification_table"),
    "analysis.specification.encoder_entropies": (["encoder_nll"], "specification_table"),
    "analysis.specification.decoder_entropies": (["decoder_nll"], "specification_table"),
    "analysis.specification.draws": (300, "specification_table"),
    "analysis.budget.statement": ("Otherwise.", "budget_table"),
    "analysis.budget.smallest_effect": (0.02, "budget_table"),
    "analysis.budget.steps": (2, "budget_table"),
    "analysis.budget.orders": (100, "budget_table"),
    "analysis.guidelines.statement": ("Otherwise.", "guidelines_finding"),
    "analysis.guidelines.smallest_effect": (0.02, "guidelines_finding"),
    "analysis.guidelines.extreme_share": (0.3, "guidelines_finding"),
    **{
        f"analysis.calibration.{key}": (value, "calibration_chunk calibration_summary")
        for key, value in {"documents": 9, "passages": 3, "draws": 60, "seed": 1}.items()
    },
    # A study more: in chunks of two, the second chunks of the two null kinds hold one study more; or one more chunk.
    "analysis.calibration.null_studies": (
        4,
        every("calibration_summary calibration_figure", calibration_chunk=2),
    ),
    "analysis.calibration.planted_studies": (
        3,
        every("calibration_summary calibration_figure", calibration_chunk=4),
    ),
    "analysis.calibration.chunk": (3, every("calibration_summary calibration_figure", calibration_chunk=2)),
    "probe.domain": ("arithmetic", REFUSED),
    "probe.share": (0.3, ""),
    "probe.records": (20, ""),
    "probe.questions": (2, ""),
    "figures.measure": ("bleu", "quality_by_bucket ladder explorer"),
    "figures.draws": (300, SAMPLED),
    **{
        f"figures.style.{key}": (value, f"{DRAWN} calibration_figure")
        for key, value in {"column": 3.5, "page": 7.5, "font_size": 9.0, "dpi": 200}.items()
    },
}
UNSTORED = re.compile(
    r"gpus|analysis\.calibration\..*|mitigation\.(?!pairs).*|probe\..*"
)  # the smoke study asks nothing


def affected(direct):
    """Jobs of these rules and of all that follow from them."""
    reached, waiting = set(), list(direct)
    while waiting:
        rule = waiting.pop()
        reached.add(rule)
        waiting += [other for other, reads in READS.items() if rule in reads and other not in reached]
    return {rule: RULES[rule][1] for rule in reached}


def expected(told):
    """Jobs that must run, from what KEYS says of a key."""
    if isinstance(told, dict):
        return told
    told, *generated = told.split(", ")
    if generated:  # text of a known rate: what is found of it comes to the study
        return expected(told) | {"dose_response_table": 1, "dose_response": 1}
    if told in ("arithmetic", "harvest"):  # one of three domains is generated, two are cut from the harvest
        domains = {"domain": 1 if told == "arithmetic" else 2}
        return affected(["domain"]) | domains | ({"harvest": 1} if told == "harvest" else {})
    return affected(told.split())
