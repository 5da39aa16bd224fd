# Simulated studies know nothing of the text and the models: one folder for all studies.
CALIBRATION = "results/calibration"


rule calibration_chunk:
    """Some simulated studies with known truth, tested as the study's own observations are."""
    input:
        code=code_of("analysis", "calibration_chunk"),
    output:
        f"{CALIBRATION}/outcomes/{{chunk}}.parquet",
    log:
        f"{CALIBRATION}/logs/{{chunk}}.log",
    benchmark:
        f"{CALIBRATION}/benchmarks/{{chunk}}.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.calibration_chunk, "chunk"),
    shell:
        "contextpress analysis calibration-chunk --spec {params.spec:q} --outcomes {output:q} &> {log:q}"


rule calibration_summary:
    """How often the tests of the claims are right about simulated studies."""
    input:
        code=code_of("analysis", "calibration"),
        outcomes=expand(
            rules.calibration_chunk.output,
            chunk=PLAN.study.analysis.calibration.chunks(),
        ),
    output:
        table=f"{CALIBRATION}/calibration.csv",
        summary=f"{CALIBRATION}/summary.json",
    log:
        f"{CALIBRATION}/logs/summary.log",
    benchmark:
        f"{CALIBRATION}/benchmarks/summary.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(lambda: PLAN.study.analysis.calibration),
    shell:
        "contextpress analysis calibration --spec {params.spec:q} --outcomes {input.outcomes:q}"
        " --table {output.table:q} --summary {output.summary:q} &> {log:q}"


rule calibration_figure:
    """False positives and coverage of the claims' tests."""
    input:
        code=code_of("figures", "calibration"),
        table=rules.calibration_summary.output.table,
    output:
        pdf=f"{CALIBRATION}/calibration.pdf",
        svg=f"{CALIBRATION}/calibration.svg",
        png=f"{CALIBRATION}/calibration.png",
        caption=f"{CALIBRATION}/calibration.rst",
    log:
        f"{CALIBRATION}/logs/figure.log",
    benchmark:
        f"{CALIBRATION}/benchmarks/figure.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.table_figure),
    shell:
        "contextpress figures calibration --spec {params.spec:q} --table {input.table:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule calibration:
    """Named target: what the verdicts are worth, tried on simulated studies with known truth."""
    input:
        rules.calibration_summary.output,
        rules.calibration_figure.output,
