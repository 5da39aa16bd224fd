rule reconstruct:
    """Held-out passages and the ladder, reconstructed from memory and from three controls."""
    input:
        code=code_of("reconstruction", "reconstruct"),
        compressor=rules.compressor.output.weights,
        description=rules.compressor.output.description,
        encoder=encoder_weights,
        decoder=decoder_weights,
        tokenizer=rules.tokenizer.output.tokenizer,
        passages=PASSAGE_FILES,
        own=lambda wildcards: own_tokenizer_files(wildcards)
        + own_passage_files(wildcards),
    output:
        table=f"{RESULTS}/reconstructions/{{compressor}}.parquet",
        record=f"{RESULTS}/reconstructions/{{compressor}}.json",
    log:
        f"{RESULTS}/logs/reconstructions/{{compressor}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/reconstructions/{{compressor}}.jsonl"
    conda:
        ENVIRONMENT
    resources:
        **WITH_MODEL,
    params:
        spec=spec_of(PLAN.reconstruction),
        compressor=folder_of("compressor"),
        encoder=folder_of("encoder"),
        decoder=folder_of("decoder"),
        tokenizer=folder_of("tokenizer"),
        own=lambda wildcards: own_tokenizer_options(wildcards)
        + own_passages_options(wildcards),
    shell:
        "contextpress reconstruction reconstruct --spec {params.spec:q} --compressor {params.compressor:q}"
        " --encoder {params.encoder:q} --decoder {params.decoder:q} --tokenizer {params.tokenizer:q}"
        " --passages {input.passages:q} {params.own:q} --output {output.table:q} --record {output.record:q} &> {log:q}"


rule cram:
    """What each decoder can be told through few vectors: memory optimised passage by passage, without an encoder."""
    input:
        code=code_of("reconstruction", "cram"),
        decoder=lambda wildcards: lm_weights(wildcards.model),
        tokenizer=lambda wildcards: tokenizer_of(wildcards.model),
        passages=lambda wildcards: passages_of(wildcards.model)[0],
    output:
        table=f"{RESULTS}/crammed/{{model}}.parquet",
        record=f"{RESULTS}/crammed/{{model}}.json",
    log:
        f"{RESULTS}/logs/crammed/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/crammed/{{model}}.jsonl"
    conda:
        ENVIRONMENT
    resources:
        **WITH_MODEL,
    params:
        spec=spec_of(PLAN.cramming, "model"),
        decoder=folder_of("decoder"),
        tokenizer=folder_of("tokenizer"),
    shell:
        "contextpress reconstruction cram --spec {params.spec:q} --decoder {params.decoder:q}"
        " --tokenizer {params.tokenizer:q} --passages {input.passages:q}"
        " --output {output.table:q} --record {output.record:q} &> {log:q}"
