rule harvest:
    """Documentation and source of the locked packages, cut into domains. Uses all cores it is given."""
    input:
        code=code_of("corpus", "harvest"),
        lock=LOCK,
    output:
        f"{RESULTS}/corpus/harvest.parquet",
    log:
        f"{RESULTS}/logs/corpus/harvest.log",
    benchmark:
        f"{RESULTS}/benchmarks/corpus/harvest.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    params:
        spec=spec_of(lambda: PLAN.harvest),
    shell:
        "CONTEXTPRESS_THREADS={threads} contextpress corpus harvest"
        " --spec {params.spec:q} --lock {input.lock:q} --output {output:q} &> {log:q}"


rule domain:
    """The documents of one domain: read, generated, or taken from the harvest."""
    input:
        code=code_of("corpus", "domain"),
        harvest=lambda wildcards: (
            rules.harvest.output if PLAN.is_embedded(wildcards.domain) else []
        ),
        files=lambda wildcards: PLAN.files(wildcards.domain),
    output:
        f"{RESULTS}/corpus/{{domain}}.parquet",
    log:
        f"{RESULTS}/logs/corpus/{{domain}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/corpus/{{domain}}.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.domain, "domain"),
        harvest=lambda wildcards, input: (
            ["--harvest", *input.harvest] if input.harvest else []
        ),
    shell:
        "contextpress corpus domain --spec {params.spec:q} {params.harvest:q} --output {output:q} &> {log:q}"


rule manifest:
    """What the corpus holds, with a digest per domain."""
    input:
        code=code_of("corpus", "manifest"),
        documents=expand(rules.domain.output, domain=PLAN.domains),
    output:
        f"{RESULTS}/corpus/manifest.json",
    log:
        f"{RESULTS}/logs/corpus/manifest.log",
    benchmark:
        f"{RESULTS}/benchmarks/corpus/manifest.jsonl"
    conda:
        ENVIRONMENT
    shell:
        "contextpress corpus manifest --documents {input.documents:q} --output {output:q} &> {log:q}"
