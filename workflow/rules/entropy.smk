PASSAGE_FILES = [rules.passages.output.passages, rules.passages.output.ladder]


rule score:
    """How surprising each passage, and each of its tokens, is to one model."""
    input:
        code=code_of("entropy", "score"),
        weights=lambda wildcards: lm_weights(wildcards.model),
        tokenizer=lambda wildcards: tokenizer_of(wildcards.model),
        passages=lambda wildcards: passages_of(wildcards.model),
    output:
        passages=f"{RESULTS}/entropy/passages/{{model}}.parquet",
        tokens=f"{RESULTS}/entropy/tokens/{{model}}.parquet",
    log:
        f"{RESULTS}/logs/entropy/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/entropy/{{model}}.jsonl"
    conda:
        ENVIRONMENT
    resources:
        **WITH_MODEL,
    params:
        spec=spec_of(PLAN.score, "model"),
        model=folder_of("weights"),
        tokenizer=folder_of("tokenizer"),
    shell:
        "contextpress entropy score --spec {params.spec:q} --model {params.model:q}"
        " --tokenizer {params.tokenizer:q} --passages {input.passages:q}"
        " --output {output.passages:q} --tokens-output {output.tokens:q} &> {log:q}"


rule perplexity:
    """How well each model predicts each domain."""
    input:
        code=code_of("entropy", "perplexity"),
        passages=rules.passages.output.passages,
        scores=expand(rules.score.output.passages, model=PLAN.models),
    output:
        f"{RESULTS}/tables/perplexity.csv",
    log:
        f"{RESULTS}/logs/entropy/perplexity.log",
    benchmark:
        f"{RESULTS}/benchmarks/entropy/perplexity.jsonl"
    conda:
        ENVIRONMENT
    shell:
        "contextpress entropy perplexity --passages {input.passages:q} --scores {input.scores:q}"
        " --output {output:q} &> {log:q}"


rule model_free:
    """How surprising each passage is to unigram counts and to zlib."""
    input:
        code=code_of("entropy", "model_free"),
        tokenizer=rules.tokenizer.output.tokenizer,
        arrays=expand(rules.encode.output, domain=PLAN.domains),
        passages=PASSAGE_FILES,
    output:
        f"{RESULTS}/entropy/model_free.parquet",
    log:
        f"{RESULTS}/logs/entropy/model_free.log",
    benchmark:
        f"{RESULTS}/benchmarks/entropy/model_free.jsonl"
    conda:
        ENVIRONMENT
    params:
        tokenizer=folder_of("tokenizer"),
    shell:
        "contextpress entropy model-free --tokenizer {params.tokenizer:q} --arrays {input.arrays:q}"
        " --passages {input.passages:q} --output {output:q} &> {log:q}"


rule gap:
    """How far apart the models of each pair are."""
    input:
        code=code_of("entropy", "gap"),
        weights=[lm_weights(name) for name in PLAN.models],
        tokenizers=sorted({tokenizer_of(name) for name in PLAN.models}),
        passages=sorted({passages_of(name)[0] for name in PLAN.models}),
    output:
        f"{RESULTS}/entropy/gap.parquet",
    log:
        f"{RESULTS}/logs/entropy/gap.log",
    benchmark:
        f"{RESULTS}/benchmarks/entropy/gap.jsonl"
    conda:
        ENVIRONMENT
    resources:
        **WITH_MODEL,
    params:
        spec=spec_of(PLAN.gap),
        models=lambda wildcards, input: [
            str(Path(path).parent) for path in input.weights
        ],
        tokenizers=[str(Path(tokenizer_of(name)).parent) for name in PLAN.models],
        passages=[passages_of(name)[0] for name in PLAN.models],
    # Too long for an argument where there are a thousand pairs.
    shell:
        "contextpress entropy gap --spec <(printf %s {params.spec:q}) --models {params.models:q}"
        " --tokenizers {params.tokenizers:q} --passages {params.passages:q} --output {output:q} &> {log:q}"
