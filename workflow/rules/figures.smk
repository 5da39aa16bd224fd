FIGURES = [
    "encoder_entropy",
    "quality_by_bucket",
    "decoder_entropy",
    "grid",
    "grid_effects",
    "specification",
    "ladder",
    "cramming",
    "predictor",
    "budget",
    *PROBE_FIGURE,
    "learning_curves",
    *MITIGATION_FIGURES,
]


rule quality_by_bucket:
    """Quality by bucket of encoder entropy, per pair."""
    input:
        code=code_of("figures", "quality_by_bucket"),
        observations=rules.observations.output,
    output:
        **drawn("quality_by_bucket"),
    log:
        f"{RESULTS}/logs/figures/quality_by_bucket.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/quality_by_bucket.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.measure_figure),
    shell:
        "contextpress figures quality-by-bucket --spec {params.spec:q} --observations {input.observations:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule encoder_entropy:
    """Claim C1: quality against the encoder's entropy."""
    input:
        code=code_of("figures", "encoder_entropy"),
        observations=rules.observations.output,
        finding=rules.claims.output.c1,
    output:
        **drawn("encoder_entropy"),
    log:
        f"{RESULTS}/logs/figures/encoder_entropy.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/encoder_entropy.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.claim_figure),
    shell:
        "contextpress figures encoder-entropy --spec {params.spec:q} --observations {input.observations:q}"
        " --finding {input.finding:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule decoder_entropy:
    """Claim C2: quality against the decoder's entropy, given the encoder's."""
    input:
        code=code_of("figures", "decoder_entropy"),
        observations=rules.observations.output,
        finding=rules.claims.output.c2,
    output:
        **drawn("decoder_entropy"),
    log:
        f"{RESULTS}/logs/figures/decoder_entropy.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/decoder_entropy.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.claim_figure),
    shell:
        "contextpress figures decoder-entropy --spec {params.spec:q} --observations {input.observations:q}"
        " --finding {input.finding:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule grid:
    """Claim C3: quality on the grid of encoders and decoders."""
    input:
        code=code_of("figures", "grid"),
        observations=rules.observations.output,
        finding=rules.claims.output.c3,
    output:
        **drawn("grid"),
    log:
        f"{RESULTS}/logs/figures/grid.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/grid.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.claim_figure),
    shell:
        "contextpress figures grid --spec {params.spec:q} --observations {input.observations:q}"
        " --finding {input.finding:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule grid_effects:
    """Claim C3: the grid taken apart into encoder effect, decoder effect and interaction."""
    input:
        code=code_of("figures", "grid_effects"),
        table=rules.claims.output.grid_effects,
    output:
        **drawn("grid_effects"),
    log:
        f"{RESULTS}/logs/figures/grid_effects.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/grid_effects.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.table_figure),
    shell:
        "contextpress figures grid-effects --spec {params.spec:q} --table {input.table:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule specification:
    """Claim C1: its effect under every choice of measure, entropy, read-out and ratio."""
    input:
        code=code_of("figures", "specification"),
        table=rules.specification_table.output,
    output:
        **drawn("specification"),
    log:
        f"{RESULTS}/logs/figures/specification.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/specification.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.table_figure),
    shell:
        "contextpress figures specification --spec {params.spec:q} --table {input.table:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule ladder:
    """Quality on the control ladder of texts, and under the controls of memory."""
    input:
        code=code_of("figures", "ladder"),
        observations=rules.observations.output,
    output:
        **drawn("ladder"),
    log:
        f"{RESULTS}/logs/figures/ladder.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/ladder.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.measure_figure),
    shell:
        "contextpress figures ladder --spec {params.spec:q} --observations {input.observations:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule cramming:
    """The cramming bound and the compressors, by entropy."""
    input:
        code=code_of("figures", "cramming"),
        table=rules.cramming_bound.output.table,
        finding=rules.cramming_bound.output.finding,
    output:
        **drawn("cramming"),
    log:
        f"{RESULTS}/logs/figures/cramming.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/cramming.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.cramming_figure),
    shell:
        "contextpress figures cramming --spec {params.spec:q} --table {input.table:q} --finding {input.finding:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule predictor:
    """Predicted against observed quality of what was held out."""
    input:
        code=code_of("figures", "predictor"),
        finding=rules.predictor_table.output.finding,
    output:
        **drawn("predictor"),
    log:
        f"{RESULTS}/logs/figures/predictor.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/predictor.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.table_figure),
    shell:
        "contextpress figures predictor --spec {params.spec:q} --finding {input.finding:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


if PLAN.sets_entropy:
    FIGURES.append("dose_response")

    rule dose_response:
        """Measured entropy and quality against the true entropy rate of generated text."""
        input:
            code=code_of("figures", "dose_response"),
            table=rules.dose_response_table.output.table,
            finding=rules.dose_response_table.output.finding,
        output:
            **drawn("dose_response"),
        log:
            f"{RESULTS}/logs/figures/dose_response.log",
        benchmark:
            f"{RESULTS}/benchmarks/figures/dose_response.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(PLAN.table_figure),
        shell:
            "contextpress figures dose-response --spec {params.spec:q} --table {input.table:q}"
            " --finding {input.finding:q} --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q}"
            " --caption {output.caption:q} &> {log:q}"


rule learning_curves:
    """Loss by step of every compressor and language model."""
    input:
        code=code_of("figures", "learning_curves"),
        compressors=expand(rules.compressor.output.history, compressor=PLAN.jobs),
        models=[lm_history(name) for name in PRETRAINED],
    output:
        **drawn("learning_curves"),
    log:
        f"{RESULTS}/logs/figures/learning_curves.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/learning_curves.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.learning_figure),
    shell:
        "contextpress figures learning-curves --spec {params.spec:q} --compressors {input.compressors:q}"
        " --models {input.models:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule figures:
    """Named target: all figures."""
    input:
        expand(
            f"{RESULTS}/figures/{{name}}.{{kind}}",
            name=FIGURES,
            kind=["pdf", "svg", "png"],
        ),
