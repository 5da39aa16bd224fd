rule tokenizer:
    """One tokenizer for the whole study."""
    input:
        code=code_of("tokens", "tokenizer"),
        documents=expand(rules.domain.output, domain=PLAN.domains),
    output:
        tokenizer=f"{RESULTS}/tokens/tokenizer/tokenizer.json",
        config=f"{RESULTS}/tokens/tokenizer/tokenizer_config.json",
    log:
        f"{RESULTS}/logs/tokens/tokenizer.log",
    benchmark:
        f"{RESULTS}/benchmarks/tokens/tokenizer.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(lambda: PLAN.study.tokens.tokenizer),
        folder=folder_of("tokenizer"),
    shell:
        "contextpress tokens tokenizer --spec {params.spec:q} --documents {input.documents:q}"
        " --output {params.folder:q} &> {log:q}"


rule encode:
    """The training documents of one domain as one array of token ids."""
    input:
        code=code_of("tokens", "encode"),
        documents=rules.domain.output,
        tokenizer=rules.tokenizer.output.tokenizer,
    output:
        f"{RESULTS}/tokens/train/{{domain}}.safetensors",
    log:
        f"{RESULTS}/logs/tokens/encode-{{domain}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tokens/encode-{{domain}}.jsonl"
    conda:
        ENVIRONMENT
    params:
        tokenizer=folder_of("tokenizer"),
    shell:
        "contextpress tokens encode --documents {input.documents:q} --tokenizer {params.tokenizer:q}"
        " --output {output:q} &> {log:q}"


rule passages:
    """Held-out passages of all domains, and the control ladder of a sample of them."""
    input:
        code=code_of("tokens", "passages"),
        documents=expand(rules.domain.output, domain=PLAN.domains),
        tokenizer=rules.tokenizer.output.tokenizer,
    output:
        passages=f"{RESULTS}/tokens/passages.parquet",
        ladder=f"{RESULTS}/tokens/ladder.parquet",
    log:
        f"{RESULTS}/logs/tokens/passages.log",
    benchmark:
        f"{RESULTS}/benchmarks/tokens/passages.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(lambda: PLAN.study.tokens.passages),
        tokenizer=folder_of("tokenizer"),
    shell:
        "contextpress tokens passages --spec {params.spec:q} --documents {input.documents:q}"
        " --tokenizer {params.tokenizer:q} --output {output.passages:q} --ladder-output {output.ladder:q} &> {log:q}"


rule mixture:
    """One of D1 .. D6, or random tokens: the rows that a model is pretrained on."""
    input:
        code=code_of("tokens", "mixture"),
        tokenizer=rules.tokenizer.output.tokenizer,
        arrays=lambda wildcards: expand(
            rules.encode.output, domain=PLAN.mixture(wildcards.mixture).weights
        ),
    output:
        rows=f"{RESULTS}/tokens/mixtures/{{mixture}}.safetensors",
        manifest=f"{RESULTS}/tokens/mixtures/{{mixture}}.json",
    log:
        f"{RESULTS}/logs/tokens/mixture-{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tokens/mixture-{{mixture}}.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.mixture, "mixture"),
        tokenizer=folder_of("tokenizer"),
    shell:
        "contextpress tokens mixture --spec {params.spec:q} --tokenizer {params.tokenizer:q} --arrays {input.arrays:q}"
        " --output {output.rows:q} --manifest {output.manifest:q} &> {log:q}"
