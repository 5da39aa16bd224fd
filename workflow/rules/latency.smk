rule latency:
    """How long encoder and decoder take, by size of model. Nothing is computed from it: timings never repeat."""
    input:
        code=code_of("latency", "measure"),
        lock=LOCK,
        weights=[lm_weights(name) for name in PLAN.sizes.values()],
        tokenizers=sorted({tokenizer_of(name) for name in PLAN.sizes.values()}),
    output:
        table=f"{RESULTS}/tables/latency.csv",
        record=f"{RESULTS}/tables/latency.json",
    log:
        f"{RESULTS}/logs/latency.log",
    benchmark:
        f"{RESULTS}/benchmarks/latency.jsonl"
    conda:
        ENVIRONMENT
    resources:
        **WITH_MODEL,
    params:
        spec=spec_of(PLAN.latency),
        models=lambda wildcards, input: [
            str(Path(path).parent) for path in input.weights
        ],
        tokenizers=[
            str(Path(tokenizer_of(name)).parent) for name in PLAN.sizes.values()
        ],
    shell:
        "contextpress latency measure --spec {params.spec:q} --models {params.models:q}"
        " --tokenizers {params.tokenizers:q} --output {output.table:q} --record {output.record:q} &> {log:q}"
