rule observations:
    """The table of the study: one row per passage and compressor."""
    input:
        code=code_of("analysis", "observations"),
        passages=PASSAGE_FILES,
        scores=expand(rules.score.output.passages, model=PLAN.models),
        model_free=rules.model_free.output,
        gap=rules.gap.output,
        reconstructions=expand(rules.reconstruct.output.table, compressor=PLAN.jobs),
    output:
        f"{RESULTS}/tables/observations.parquet",
    log:
        f"{RESULTS}/logs/analysis/observations.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/observations.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.observations),
    # Too long for an argument where there are a thousand pairs.
    shell:
        "contextpress analysis observations --spec <(printf %s {params.spec:q}) --passages {input.passages:q}"
        " --scores {input.scores:q} --model-free {input.model_free:q} --gaps {input.gap:q}"
        " --reconstructions {input.reconstructions:q} --observations {output:q} &> {log:q}"


SPECIFICATION = f"{RESULTS}/tables/specification.csv"


rule claims:
    """A verdict on each declared claim, and the tables behind it."""
    input:
        code=code_of("analysis", "claims"),
        observations=rules.observations.output,
    output:
        c1=f"{RESULTS}/findings/c1.json",
        c2=f"{RESULTS}/findings/c2.json",
        c3=f"{RESULTS}/findings/c3.json",
        table_c1=f"{RESULTS}/tables/c1.csv",
        table_c2=f"{RESULTS}/tables/c2.csv",
        table_c3=f"{RESULTS}/tables/c3.csv",
        grid_effects=f"{RESULTS}/tables/grid_effects.csv",
        by_bucket=f"{RESULTS}/tables/by_bucket.csv",
    log:
        f"{RESULTS}/logs/analysis/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/claims.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(lambda: PLAN.study.analysis.claims),
        specification=SPECIFICATION,
    shell:
        "contextpress analysis claims --spec {params.spec:q} --observations {input.observations:q}"
        " --finding-c1 {output.c1:q} --finding-c2 {output.c2:q} --finding-c3 {output.c3:q}"
        " --table-c1 {output.table_c1:q} --table-c2 {output.table_c2:q} --table-c3 {output.table_c3:q}"
        " --table-grid-effects {output.grid_effects:q} --table-by-bucket {output.by_bucket:q}"
        " --specification {params.specification:q} &> {log:q}"


rule specification_table:
    """Every claim's effect under every choice of measure, entropy, read-out and ratio."""
    input:
        code=code_of("analysis", "specification"),
        observations=rules.observations.output,
    output:
        SPECIFICATION,
    log:
        f"{RESULTS}/logs/analysis/specification.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/specification.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.specification),
    shell:
        "contextpress analysis specification --spec {params.spec:q} --observations {input.observations:q}"
        " --table {output:q} &> {log:q}"


rule ladder_table:
    """The control ladder by read-out and ratio, beside published ones."""
    input:
        code=code_of("analysis", "ladder"),
        observations=rules.observations.output,
    output:
        f"{RESULTS}/tables/ladder.csv",
    log:
        f"{RESULTS}/logs/analysis/ladder.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/ladder.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.ladder),
    shell:
        "contextpress analysis ladder --spec {params.spec:q} --observations {input.observations:q}"
        " --table {output:q} &> {log:q}"


rule cramming_bound:
    """What the decoders could be told, against what the compressors tell them, by entropy."""
    input:
        code=code_of("analysis", "cramming"),
        observations=rules.observations.output,
        crammed=expand(rules.cram.output.table, model=PLAN.decoders),
    output:
        finding=f"{RESULTS}/findings/cramming.json",
        table=f"{RESULTS}/tables/cramming.csv",
    log:
        f"{RESULTS}/logs/analysis/cramming.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/cramming.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.cramming_analysis),
    shell:
        "contextpress analysis cramming --spec {params.spec:q} --observations {input.observations:q}"
        " --crammed {input.crammed:q} --finding {output.finding:q} --table {output.table:q} &> {log:q}"


rule predictor_table:
    """Quality predicted from entropies, gap and ratio, and how well that does on what is held out."""
    input:
        code=code_of("analysis", "predictor"),
        observations=rules.observations.output,
        models=[lm_weights(name) for name in PLAN.models],
    output:
        finding=f"{RESULTS}/findings/predictor.json",
        table=f"{RESULTS}/tables/predictor.csv",
    log:
        f"{RESULTS}/logs/analysis/predictor.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/predictor.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.predictor),
    shell:
        "contextpress analysis predictor --spec {params.spec:q} --observations {input.observations:q}"
        " --models {input.models:q} --finding {output.finding:q} --table {output.table:q} &> {log:q}"


# Quality against the true entropy rate: only where a study has text whose rate is known.
DOSE_RESPONSE = []

if PLAN.sets_entropy:

    rule dose_response_table:
        """Quality and measured entropy against the true entropy rate of generated text."""
        input:
            code=code_of("analysis", "dose_response"),
            observations=rules.observations.output,
        output:
            finding=f"{RESULTS}/findings/dose_response.json",
            table=f"{RESULTS}/tables/dose_response.csv",
        log:
            f"{RESULTS}/logs/analysis/dose_response.log",
        benchmark:
            f"{RESULTS}/benchmarks/analysis/dose_response.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(lambda: PLAN.study.analysis.claims),
        shell:
            "contextpress analysis dose-response --spec {params.spec:q} --observations {input.observations:q}"
            " --finding {output.finding:q} --table {output.table:q} &> {log:q}"

    DOSE_RESPONSE.append(rules.dose_response_table.output.finding)


FINDINGS = [rules.claims.output.c1, rules.claims.output.c2, rules.claims.output.c3]


rule findings:
    """Named target: the verdicts and their tables."""
    input:
        rules.claims.output,
        rules.specification_table.output,
        rules.ladder_table.output,
        rules.cramming_bound.output,
        rules.predictor_table.output,
        f"{RESULTS}/findings/budget.json",
        f"{RESULTS}/findings/c4.json",
        DOSE_RESPONSE,
        MITIGATION,
        INFUSION,
        PROBE_FINDING,
