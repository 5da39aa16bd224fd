# From findings to practice: memory that follows entropy, and the paper's guidelines as far as a study measures them.


rule budget_table:
    """A fixed total of memory shared out by entropy, uniformly, at random and otherwise."""
    input:
        code=code_of("analysis", "budget"),
        observations=rules.observations.output,
        predictor=rules.predictor_table.output.finding,
    output:
        finding=f"{RESULTS}/findings/budget.json",
        table=f"{RESULTS}/tables/budget.csv",
    log:
        f"{RESULTS}/logs/analysis/budget.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/budget.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(lambda: budget_spec(PLAN)),
    shell:
        "contextpress analysis budget --spec {params.spec:q} --observations {input.observations:q}"
        " --predictor {input.predictor:q} --finding {output.finding:q} --table {output.table:q} &> {log:q}"


rule guidelines_finding:
    """Claim C4: each piece of the paper's advice as an effect, or that it was not measured."""
    input:
        code=code_of("analysis", "guidelines"),
        observations=rules.observations.output,
        predictor=rules.predictor_table.output.finding,
        mitigation=MITIGATION,
    output:
        f"{RESULTS}/findings/c4.json",
    log:
        f"{RESULTS}/logs/analysis/guidelines.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/guidelines.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(lambda: guidelines_spec(PLAN)),
    shell:
        "contextpress analysis guidelines --spec {params.spec:q} --observations {input.observations:q}"
        " --predictor {input.predictor:q} --mitigation {input.mitigation:q} --finding {output:q} &> {log:q}"


rule budget:
    """Quality against memory budget, uniform and entropy-aware."""
    input:
        code=code_of("figures", "budget"),
        table=rules.budget_table.output.table,
        finding=rules.budget_table.output.finding,
    output:
        **drawn("budget"),
    log:
        f"{RESULTS}/logs/figures/budget.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/budget.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.table_figure),
    shell:
        "contextpress figures budget --spec {params.spec:q} --table {input.table:q} --finding {input.finding:q}"
        " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"


rule guidelines:
    """What to do in practice, with the number that each guideline rests on."""
    input:
        code=code_of("report", "guidelines"),
        c4=rules.guidelines_finding.output,
        budget=rules.budget_table.output.finding,
    output:
        f"{RESULTS}/guidelines.md",
    log:
        f"{RESULTS}/logs/report/guidelines.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/guidelines.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.summary),
    shell:
        "contextpress report guidelines --spec {params.spec:q} --c4 {input.c4:q} --budget {input.budget:q}"
        " --output {output:q} &> {log:q}"
