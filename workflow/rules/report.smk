rule summary:
    """What a reader sees first: verdicts, figures, what was run, versions, time."""
    input:
        code=code_of("report", "summary", "page.css"),
        observations=rules.observations.output,
        findings=FINDINGS,
        practice=[
            *rules.guidelines_finding.output,
            rules.budget_table.output.finding,
            *MITIGATION,
            *INFUSION,
            *PROBE_FINDING,
        ],
        figures=expand(f"{RESULTS}/figures/{{name}}.png", name=FIGURES),
        captions=expand(f"{RESULTS}/figures/{{name}}.rst", name=FIGURES),
        drawings=expand(f"{RESULTS}/figures/{{name}}.svg", name=FIGURES),
        records=[
            *sorted(
                {
                    str(Path(start_of_model(name)).parent / "record.json")
                    for name in FROM_SCRATCH
                }
            ),
            *(
                str(Path(lm_weights(name)).parent / "record.json")
                for name in [
                    *PLAN.models,
                    *ARMS.models,
                    *REMEDIES.merged,
                    *REMEDIES.infused,
                ]
            ),
            *expand(rules.compressor.output.record, compressor=COMPRESSORS),
            *expand(rules.reconstruct.output.record, compressor=RECONSTRUCTED),
            *(f"{RESULTS}/mistakes/{name}.json" for name in ARMS.starts),
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
        " --findings {input.findings:q} --practice {input.practice:q}"
        " --figures {input.figures:q} --captions {input.captions:q}"
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
        mitigation=MITIGATION,
        infusion=INFUSION,
        probe=PROBE_FINDING,
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
        " --dose-response {input.dose_response:q} --mitigation {input.mitigation:q}"
        " --infusion {input.infusion:q} --probe {input.probe:q}"
        " --output {output.text:q} --page {output.page:q} &> {log:q}"


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


# The committed copies are those of the default study; another study's pages stay with its results.
if PLAN.study.study == "default":

    rule docs:
        """Named target: the committed copies of the default study's findings and guidelines."""
        input:
            rules.findings_report.output.text,
            rules.guidelines.output,
        output:
            "docs/findings.md",
            "docs/guidelines.md",
        log:
            f"{RESULTS}/logs/report/docs.log",
        conda:
            ENVIRONMENT
        shell:
            "cp {input:q} docs &> {log:q}"
