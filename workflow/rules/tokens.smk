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


rule own_tokenizer:
    """The tokenizer that comes with a loaded model, where the model is to read that."""
    input:
        code=code_of("tokens", "tokenizer"),
    output:
        tokenizer=f"{RESULTS}/tokens/own/{{model}}/tokenizer.json",
        config=f"{RESULTS}/tokens/own/{{model}}/tokenizer_config.json",
    log:
        f"{RESULTS}/logs/tokens/own-tokenizer-{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tokens/own-tokenizer-{{model}}.jsonl"
    wildcard_constraints:
        model="|".join(PLAN.own) or "(?!)",
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.own_tokenizer, "model"),
        folder=folder_of("tokenizer"),
    shell:
        "contextpress tokens tokenizer --spec {params.spec:q} --documents --output {params.folder:q} &> {log:q}"


rule own_passages:
    """The same passages in the tokens of a model that has its own tokenizer."""
    input:
        code=code_of("tokens", "retokenize"),
        tokenizer=rules.own_tokenizer.output.tokenizer,
        passages=rules.passages.output.passages,
        ladder=rules.passages.output.ladder,
    output:
        passages=f"{RESULTS}/tokens/own/{{model}}/passages.parquet",
        ladder=f"{RESULTS}/tokens/own/{{model}}/ladder.parquet",
    log:
        f"{RESULTS}/logs/tokens/own-passages-{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tokens/own-passages-{{model}}.jsonl"
    wildcard_constraints:
        model="|".join(PLAN.own) or "(?!)",
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.own_tokens, "model"),
        tokenizer=folder_of("tokenizer"),
    shell:
        "contextpress tokens retokenize --spec {params.spec:q} --tokenizer {params.tokenizer:q}"
        " --passages {input.passages:q} --ladder {input.ladder:q}"
        " --output {output.passages:q} --ladder-output {output.ladder:q} &> {log:q}"


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
