# Whether the gap can be mitigated. Only where a study names pairs to help: else nothing here is planned.
MITIGATION = []
MITIGATION_FIGURES = []

if ARMS.cells:

    rule arms_table:
        """Every arm's share of the gap, beside longer training at the same cost, and whether the gap is mitigated."""
        input:
            code=code_of("analysis", "mitigation"),
            passages=PASSAGE_FILES,
            reconstructions=[
                f"{RESULTS}/reconstructions/{cell.compressor.name}.parquet"
                for cell in ARMS.cells
            ],
        output:
            finding=f"{RESULTS}/findings/mitigation.json",
            table=f"{RESULTS}/tables/arms.csv",
        log:
            f"{RESULTS}/logs/analysis/mitigation.log",
        benchmark:
            f"{RESULTS}/benchmarks/analysis/mitigation.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(ARMS.arms_table),
        # Too long for an argument where there are hundreds of compressors.
        shell:
            "contextpress analysis mitigation --spec <(printf %s {params.spec:q}) --passages {input.passages:q}"
            " --reconstructions {input.reconstructions:q} --finding {output.finding:q} --table {output.table:q}"
            " &> {log:q}"

    MITIGATION.append(rules.arms_table.output.finding)
    MITIGATION_FIGURES.append("mitigation")

    rule mitigation:
        """Claim C3: what share of the gap each arm closes."""
        input:
            code=code_of("figures", "mitigation"),
            table=rules.arms_table.output.table,
            finding=rules.arms_table.output.finding,
        output:
            **drawn("mitigation"),
        log:
            f"{RESULTS}/logs/figures/mitigation.log",
        benchmark:
            f"{RESULTS}/benchmarks/figures/mitigation.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(PLAN.table_figure),
        shell:
            "contextpress figures mitigation --spec {params.spec:q} --table {input.table:q}"
            " --finding {input.finding:q} --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q}"
            " --caption {output.caption:q} &> {log:q}"
