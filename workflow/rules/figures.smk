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
    "learning_curves",
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


rule summary:
    """What a reader sees first: verdicts, figures, what was run, versions, time."""
    input:
        code=code_of("report", "summary", "page.css"),
        observations=rules.observations.output,
        findings=FINDINGS,
        figures=expand(f"{RESULTS}/figures/{{name}}.png", name=FIGURES),
        captions=expand(f"{RESULTS}/figures/{{name}}.rst", name=FIGURES),
        drawings=expand(f"{RESULTS}/figures/{{name}}.svg", name=FIGURES),
        records=[
            *sorted(
                {
                    str(Path(start_of_model(name)).parent / "record.json")
                    for name in PRETRAINED
                }
            ),
            *(
                str(Path(lm_weights(name)).parent / "record.json")
                for name in PLAN.models
            ),
            *expand(rules.compressor.output.record, compressor=PLAN.jobs),
            *expand(rules.reconstruct.output.record, compressor=PLAN.jobs),
            *expand(rules.cram.output.record, model=PLAN.decoders),
        ],
    output:
        text=f"{RESULTS}/summary.md",
        page=report(
            f"{RESULTS}/summary.html",
            caption="../report/summary.rst",
            category="1 Summary",
            labels={"page": "verdicts, figures, methods, costs, versions"},
        ),
        verdicts=f"{RESULTS}/verdicts.html",
    log:
        f"{RESULTS}/logs/report/summary.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/summary.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.summary),
    shell:
        "contextpress report summary --spec {params.spec:q} --observations {input.observations:q}"
        " --findings {input.findings:q} --figures {input.figures:q} --captions {input.captions:q}"
        " --drawings {input.drawings:q} --records {input.records:q}"
        " --output {output.text:q} --page {output.page:q} --table {output.verdicts:q} &> {log:q}"


rule findings_report:
    """Each claim at length: measured numbers beside the paper's, and what does not carry over."""
    input:
        code=code_of("report", "findings", "page.css"),
        observations=rules.observations.output,
        findings=FINDINGS,
        grid_effects=rules.claims.output.grid_effects,
        specification=rules.specification_table.output,
        ladder=rules.ladder_table.output,
        cramming=rules.cramming_bound.output.finding,
        dose_response=DOSE_RESPONSE,
    output:
        text=f"{RESULTS}/findings.md",
        page=report(
            f"{RESULTS}/findings.html",
            caption="../report/findings.rst",
            category="3 Findings",
            labels={"page": "each claim at length, beside the paper's numbers"},
        ),
    log:
        f"{RESULTS}/logs/report/findings.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/findings.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.summary),
    shell:
        "contextpress report findings --spec {params.spec:q} --observations {input.observations:q}"
        " --findings {input.findings:q} --grid-effects {input.grid_effects:q}"
        " --specification {input.specification:q} --ladder {input.ladder:q} --cramming {input.cramming:q}"
        " --dose-response {input.dose_response:q} --output {output.text:q} --page {output.page:q} &> {log:q}"


rule explorer:
    """Every passage with its reconstructions and scores, in one page for a browser."""
    input:
        code=code_of(
            "report", "explorer", "explorer.html", "explorer.css", "explorer.js"
        ),
        observations=rules.observations.output,
        passages=rules.passages.output.passages,
        scores=expand(rules.score.output.tokens, model=PLAN.models),
        reconstructions=expand(rules.reconstruct.output.table, compressor=PLAN.jobs),
        tokenizers=sorted({tokenizer_of(name) for name in PLAN.models}),
    output:
        f"{RESULTS}/explorer.html",
    log:
        f"{RESULTS}/logs/report/explorer.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/explorer.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.explorer),
        tokenizers=[str(Path(tokenizer_of(name)).parent) for name in PLAN.models],
    shell:
        "contextpress report explorer --spec {params.spec:q} --observations {input.observations:q}"
        " --passages {input.passages:q} --scores {input.scores:q} --reconstructions {input.reconstructions:q}"
        " --tokenizers {params.tokenizers:q} --output {output:q} &> {log:q}"


rule cards:
    """The model card of every compressor. A step of its own: its metrics are known long after the training."""
    input:
        code=code_of("report", "cards"),
        observations=rules.observations.output,
        descriptions=expand(rules.compressor.output.description, compressor=PLAN.jobs),
        weights=expand(rules.compressor.output.weights, compressor=PLAN.jobs),
        models=[lm_weights(name) for name in PLAN.models],
    output:
        expand(f"{RESULTS}/compressors/{{compressor}}/README.md", compressor=PLAN.jobs),
    log:
        f"{RESULTS}/logs/report/cards.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/cards.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.cards),
        compressors=lambda wildcards, input: [
            str(Path(path).parent) for path in input.descriptions
        ],
    shell:
        "contextpress report cards --spec {params.spec:q} --observations {input.observations:q}"
        " --compressors {params.compressors:q} --output {output:q} &> {log:q}"


# The committed copy is that of the default study; another study's findings stay with its results.
if PLAN.study.study == "default":

    rule docs:
        """Named target: the committed copy of the default study's findings."""
        input:
            rules.findings_report.output.text,
        output:
            "docs/findings.md",
        log:
            f"{RESULTS}/logs/report/docs.log",
        conda:
            ENVIRONMENT
        shell:
            "cp {input:q} {output:q} &> {log:q}"
